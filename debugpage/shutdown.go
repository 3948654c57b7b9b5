package debugpage

import (
	"errors"
	"net"
	"net/http"
	"runtime"
	"sync"
	"weak"
)

// A server that shuts down waits for its requests, and a stream would never end. So each server that streams come
// from is asked, once, to say when it begins to. The table does not keep a server alive, and has one entry for each,
// however many handlers there are.
var servers struct {
	mu   sync.Mutex
	down map[weak.Pointer[http.Server]]chan struct{}
}

// never is the answer for a request whose server is not known.
var never = make(chan struct{})

// shutdownOf returns a channel that is closed when the request's server begins to shut down, or nil if it has begun.
func shutdownOf(req *http.Request) <-chan struct{} {
	server, ok := req.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok || server == nil {
		return never
	}
	key := weak.Make(server)
	servers.mu.Lock()
	defer servers.mu.Unlock()
	down, known := servers.down[key]
	if !known {
		down = make(chan struct{})
		if servers.down == nil {
			servers.down = make(map[weak.Pointer[http.Server]]chan struct{})
		}
		servers.down[key] = down
		server.RegisterOnShutdown(sync.OnceFunc(func() { close(down) })) // Shutdown may be called again
		runtime.AddCleanup(server, forget, key)
		if shutsDown(server) { // before it was asked
			servers.down[key] = nil
		}
	}
	return servers.down[key]
}

func forget(key weak.Pointer[http.Server]) {
	servers.mu.Lock()
	defer servers.mu.Unlock()
	delete(servers.down, key)
}

// shutsDown reports whether Shutdown or Close has been called. A server does not tell, but it refuses to serve then. One
// with a BaseContext would call that, which is the program's: there it is not known, and false.
func shutsDown(server *http.Server) bool {
	return server.BaseContext == nil && errors.Is(server.Serve(noListener{}), http.ErrServerClosed)
}

// noListener accepts nothing, at once.
type noListener struct{}

func (noListener) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (noListener) Close() error              { return nil }
func (noListener) Addr() net.Addr            { return &net.TCPAddr{} }
