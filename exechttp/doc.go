// Package exechttp connects net/http with an executor: Handler runs a server's requests as tasks, and Transport marks
// the waits of a client, each at one place instead of at every call.
//
//	server.Handler = exechttp.Handler(e, mux)
//	client.Transport = exechttp.Transport(http.DefaultTransport)
//
// What one gets: as many requests compute at once as there are slots, the others wait in order or are refused with 503 and
// Retry-After, and whoever waits for the network lends its slot: for a body that trickles in, a client that reads slowly, a
// stream of events, an upgraded connection, an answer of another server. To drain, call http.Server.Shutdown first, and
// the executor's Shutdown after it.
// What is next: mark other waits of handlers with [executor.Blocking], and loops with [executor.Checkpoint].
package exechttp
