"""The response cache beside its peers: traffic, CPU time, and whose responses are given to whom."""
