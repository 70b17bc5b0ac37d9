// The Pulumi Kubernetes provider plugin, served from its module. The module's
// own main embeds a generated schema that is not part of the module; typed
// resources need none, so an empty one is given.
package main

import "github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"

var version string

func main() {
	schema := []byte(`{"name":"kubernetes","version":"` + version + `"}`)
	provider.Serve("kubernetes", version, schema, []byte("{}"))
}
