// Package execgrpc connects google.golang.org/grpc with an executor: the interceptors of a server run calls as tasks, and
// those of a client mark its waits, each at one place instead of at every call.
//
//	grpc.NewServer(grpc.ChainUnaryInterceptor(execgrpc.UnaryServer(e)), grpc.ChainStreamInterceptor(execgrpc.StreamServer(e)))
//	grpc.NewClient(target, grpc.WithChainUnaryInterceptor(execgrpc.UnaryClient()), grpc.WithChainStreamInterceptor(execgrpc.StreamClient()))
//
// What one gets: as many calls compute at once as there are slots, the others wait in order or are refused with Unavailable,
// and whoever waits for the other side lends its slot: in RecvMsg and SendMsg of streams, and in calls to other servers. To
// drain, call grpc.Server.GracefulStop first, and the executor's Shutdown after it.
// What is next: mark other waits of handlers with [executor.Blocking], and loops with [executor.Checkpoint].
package execgrpc

import (
	"context"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/internal/anteroom"
)

// Option changes what an interceptor of a server does.
type Option func(*server)

// WithWaiting bounds how many calls of the interceptor wait for a slot, of each lane; more are refused. With 0 none waits.
// Default: the executor's queue limit, or that of the lane.
func WithWaiting(n int) Option { return func(s *server) { s.most = int64(n) } }

// WithContext sets what makes the context under which a call waits and runs, from the call's context and method: to
// choose a lane or a tenant, or name the task. Default: the call's context.
func WithContext(of func(ctx context.Context, method string) context.Context) Option {
	return func(s *server) { s.context = of }
}

type server struct {
	context func(context.Context, string) context.Context

	most int64
	room *anteroom.Room
}

func newServer(e *executor.Executor, opts []Option) *server {
	if e == nil {
		panic(errors.New("execgrpc: nil Executor"))
	}
	s := &server{most: -1}
	for _, opt := range opts {
		opt(s)
	}
	s.room = anteroom.New(e, s.most)
	return s
}

// UnaryServer returns an interceptor that runs each call under e's Do, on the goroutine that grpc has for it, with the task's
// context. A call for which there is no slot waits its turn, until its context is done. One that is refused, because it may
// not wait, e is overloaded or closed, gets the code Unavailable, which clients may try again; one for a lane that e does not
// have, Internal. A panic or Goexit in the
// handler passes through.
func UnaryServer(e *executor.Executor, opts ...Option) grpc.UnaryServerInterceptor {
	s := newServer(e, opts)
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (answer any, err error) {
		err = s.run(ctx, info.FullMethod, func(ctx context.Context) error {
			answer, err = handler(ctx, req)
			return err
		})
		return answer, err
	}
}

// StreamServer returns an interceptor that does for streams what UnaryServer does for calls. RecvMsg, SendMsg and
// SendHeader lend the slot while they wait for the client.
func StreamServer(e *executor.Executor, opts ...Option) grpc.StreamServerInterceptor {
	s := newServer(e, opts)
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		return s.run(stream.Context(), info.FullMethod, func(ctx context.Context) error {
			return handler(srv, &serverStream{stream, ctx})
		})
	}
}

// run runs fn under Do and returns its error.
func (s *server) run(ctx context.Context, method string, fn func(context.Context) error) error {
	if s.context != nil {
		ctx = s.context(ctx, method)
	}
	began, err := s.room.Do(ctx, fn)
	switch {
	case began:
		return err
	case !s.room.Knows(ctx): // a mistake of the program: to try again does not help
		return status.Error(codes.Internal, err.Error())
	case ctx.Err() != nil && !refusal(err):
		return status.FromContextError(ctx.Err()).Err()
	}
	return status.Error(codes.Unavailable, err.Error())
}

// refusal reports whether err is the executor's own word, and not the cause of a context, which may match anything.
func refusal(err error) bool {
	return err == executor.ErrQueueFull || err == executor.ErrOverloaded || err == executor.ErrClosed
}

// serverStream is a stream of a server whose waits lend the slot, with the task's context.
type serverStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *serverStream) Context() context.Context { return s.ctx }

func (s *serverStream) RecvMsg(m any) (err error) {
	executor.Blocking(s.ctx, func() { err = s.ServerStream.RecvMsg(m) })
	return err
}

func (s *serverStream) SendMsg(m any) (err error) {
	executor.Blocking(s.ctx, func() { err = s.ServerStream.SendMsg(m) })
	return err
}

func (s *serverStream) SendHeader(md metadata.MD) (err error) {
	executor.Blocking(s.ctx, func() { err = s.ServerStream.SendHeader(md) })
	return err
}

// UnaryClient returns an interceptor for a client: a task that makes a call lends its slot until the answer is there.
func UnaryClient() grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) (err error) {
		executor.Blocking(ctx, func() { err = invoke(ctx, method, req, reply, cc, opts...) })
		return err
	}
}

// StreamClient returns an interceptor for a client: a task lends its slot while it opens a stream, and in Header, RecvMsg,
// SendMsg and CloseSend of it.
func StreamClient() grpc.StreamClientInterceptor {
	return func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (stream grpc.ClientStream, err error) {
		executor.Blocking(ctx, func() { stream, err = open(ctx, desc, cc, method, opts...) })
		if err != nil {
			return nil, err
		}
		return &clientStream{stream}, nil
	}
}

// clientStream is a stream of a client whose waits lend the slot.
type clientStream struct{ grpc.ClientStream }

// lend needs no context: a task is recognised by its goroutine. To ask the stream for its own would keep it from trying
// again.
func (s *clientStream) lend(fn func()) { executor.Blocking(context.Background(), fn) }

func (s *clientStream) Header() (md metadata.MD, err error) {
	s.lend(func() { md, err = s.ClientStream.Header() })
	return md, err
}

func (s *clientStream) RecvMsg(m any) (err error) {
	s.lend(func() { err = s.ClientStream.RecvMsg(m) })
	return err
}

func (s *clientStream) SendMsg(m any) (err error) {
	s.lend(func() { err = s.ClientStream.SendMsg(m) })
	return err
}

func (s *clientStream) CloseSend() (err error) {
	s.lend(func() { err = s.ClientStream.CloseSend() })
	return err
}
