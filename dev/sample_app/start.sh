# As process 1, httpd alone would not end on SIGTERM.
trap 'kill $server; exit 0' TERM
httpd -f -p 8080 -h /www &
server=$!
wait $server
