"""The bot's side of the contract, for any CI: what a job knows, packs, uploads and says in its pull request.

Talks to git, to storage and to forges over HTTP; never to a cluster, nor to the engine.
"""
