package execgrpc_test

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/execgrpc"
)

func newExecutor(t *testing.T, opts ...executor.Option) *executor.Executor {
	t.Helper()
	e, err := executor.New(opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e
}

// service answers with functions that a test sets.
type service struct {
	testgrpc.UnimplementedTestServiceServer
	unary  func(context.Context) error
	stream func(testgrpc.TestService_FullDuplexCallServer) error
}

func (s *service) EmptyCall(ctx context.Context, _ *testgrpc.Empty) (*testgrpc.Empty, error) {
	return new(testgrpc.Empty), s.unary(ctx)
}

func (s *service) FullDuplexCall(stream testgrpc.TestService_FullDuplexCallServer) error {
	return s.stream(stream)
}

// start serves s on loopback and returns a client. Without an executor the server has no interceptor.
func start(t *testing.T, e *executor.Executor, s *service, opts ...execgrpc.Option) (testgrpc.TestServiceClient, *grpc.Server) {
	t.Helper()
	var serverOpts []grpc.ServerOption
	if e != nil {
		serverOpts = append(serverOpts, grpc.ChainUnaryInterceptor(execgrpc.UnaryServer(e, opts...)), grpc.ChainStreamInterceptor(execgrpc.StreamServer(e, opts...)))
	}
	server := grpc.NewServer(serverOpts...)
	testgrpc.RegisterTestServiceServer(server, s)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		require.NoError(t, <-served)
	})
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithChainUnaryInterceptor(execgrpc.UnaryClient()), grpc.WithChainStreamInterceptor(execgrpc.StreamClient()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return testgrpc.NewTestServiceClient(conn), server
}

func TestServer_RunsCallsAsTasks(t *testing.T) {
	e := newExecutor(t, executor.WithSlots(1))
	in := func(ctx context.Context) error {
		if on, ok := executor.FromContext(ctx); !ok || on != e {
			return errors.New("not a task")
		}
		return nil
	}
	client, _ := start(t, e, &service{unary: in, stream: func(s testgrpc.TestService_FullDuplexCallServer) error { return in(s.Context()) }})
	_, err := client.EmptyCall(t.Context(), new(testgrpc.Empty))
	require.NoError(t, err)
	stream, err := client.FullDuplexCall(t.Context())
	require.NoError(t, err)
	_, err = stream.Recv()
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, e.Quiesce(context.Background()))
	require.EqualValues(t, 2, e.Stats().Completed)
}

func TestServer_ErrorsStayWhatTheyAre(t *testing.T) {
	e := newExecutor(t)
	client, _ := start(t, e, &service{unary: func(context.Context) error { return status.Error(codes.NotFound, "no such thing") }})
	_, err := client.EmptyCall(t.Context(), new(testgrpc.Empty))
	require.Equal(t, codes.NotFound, status.Code(err))
	require.Equal(t, "no such thing", status.Convert(err).Message())
}

// 200 streams that wait for their clients hold nobody up on one slot without stall detection. Mutants: RecvMsg or SendMsg
// of the server outside of Blocking.
func TestServer_StreamsHoldNobodyUp(t *testing.T) {
	e := newExecutor(t, executor.WithSlots(1), executor.WithStallDetection(false))
	client, _ := start(t, e, &service{
		unary: func(context.Context) error { return nil },
		stream: func(s testgrpc.TestService_FullDuplexCallServer) error {
			for {
				if _, err := s.Recv(); err != nil {
					return nil
				}
				if err := s.Send(new(testgrpc.StreamingOutputCallResponse)); err != nil {
					return err
				}
			}
		},
	})
	var streams []testgrpc.TestService_FullDuplexCallClient
	for range 200 {
		stream, err := client.FullDuplexCall(t.Context())
		require.NoError(t, err)
		require.NoError(t, stream.Send(new(testgrpc.StreamingOutputCallRequest)))
		_, err = stream.Recv() // it runs
		require.NoError(t, err)
		streams = append(streams, stream)
	}
	_, err := client.EmptyCall(t.Context(), new(testgrpc.Empty))
	require.NoError(t, err)
	for _, stream := range streams {
		require.NoError(t, stream.CloseSend())
		_, err = stream.Recv()
		require.ErrorIs(t, err, io.EOF)
	}
}

// A client that does not read blocks the server's SendMsg, and nothing else.
func TestServer_ClientThatDoesNotRead(t *testing.T) {
	e := newExecutor(t, executor.WithSlots(1), executor.WithStallDetection(false))
	client, _ := start(t, e, &service{
		unary: func(context.Context) error { return nil },
		stream: func(s testgrpc.TestService_FullDuplexCallServer) error {
			big := &testgrpc.StreamingOutputCallResponse{Payload: &testgrpc.Payload{Body: make([]byte, 1<<20)}}
			for s.Send(big) == nil {
			}
			return nil
		},
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := client.FullDuplexCall(ctx)
	require.NoError(t, err)
	_, err = stream.Recv()
	require.NoError(t, err)
	_, err = client.EmptyCall(t.Context(), new(testgrpc.Empty))
	require.NoError(t, err)
}

// A call beyond the bound of those that wait is refused, and so is every call when the executor is closed.
func TestServer_Refuses(t *testing.T) {
	e := newExecutor(t, executor.WithSlots(1), executor.WithStallDetection(false))
	hold := make(chan struct{})
	client, _ := start(t, e, &service{unary: func(context.Context) error { <-hold; return nil }}, execgrpc.WithWaiting(1))
	var all sync.WaitGroup
	for i := range 2 { // one runs and one waits
		all.Go(func() { _, _ = client.EmptyCall(context.Background(), new(testgrpc.Empty)) })
		for s := e.Stats(); s.Running != 1 || s.Queued != i; s = e.Stats() {
			time.Sleep(time.Millisecond)
		}
	}
	_, err := client.EmptyCall(t.Context(), new(testgrpc.Empty))
	require.Equal(t, codes.Unavailable, status.Code(err))
	close(hold)
	all.Wait()
	require.NoError(t, e.Close())
	_, err = client.EmptyCall(t.Context(), new(testgrpc.Empty))
	require.Equal(t, codes.Unavailable, status.Code(err))
}

// A refusal is told from the end of a context by what happened: a cause may be any error.
func TestServer_TheCauseOfAContextIsNoRefusal(t *testing.T) {
	e := newExecutor(t)
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(executor.ErrClosed)
	_, err := execgrpc.UnaryServer(e)(ctx, nil, new(grpc.UnaryServerInfo), nil)
	require.Equal(t, codes.Canceled, status.Code(err))
	require.NoError(t, e.Close())
	_, err = execgrpc.UnaryServer(e)(context.Background(), nil, new(grpc.UnaryServerInfo), nil)
	require.Equal(t, codes.Unavailable, status.Code(err))
}

// A call whose client has gone while it waited never starts.
func TestServer_CancellationWhileWaiting(t *testing.T) {
	e := newExecutor(t, executor.WithSlots(1))
	started, hold := make(chan struct{}, 10), make(chan struct{})
	var calls atomic.Int32
	client, _ := start(t, e, &service{unary: func(context.Context) error { calls.Add(1); started <- struct{}{}; <-hold; return nil }},
		execgrpc.WithContext(func(ctx context.Context, method string) context.Context { return executor.WithTaskName(ctx, method) }))
	first := make(chan error, 1)
	go func() { _, err := client.EmptyCall(context.Background(), new(testgrpc.Empty)); first <- err }()
	<-started
	ctx, cancel := context.WithCancel(context.Background())
	second := make(chan error, 1)
	go func() { _, err := client.EmptyCall(ctx, new(testgrpc.Empty)); second <- err }()
	for e.Stats().Submitted < 2 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	require.Equal(t, codes.Canceled, status.Code(<-second))
	for e.Stats().Canceled == 0 {
		time.Sleep(time.Millisecond)
	}
	close(hold)
	require.NoError(t, <-first)
	require.NoError(t, e.Quiesce(context.Background()))
	require.EqualValues(t, 1, calls.Load())
}

// GracefulStop and then Shutdown lose no call.
func TestServer_Drains(t *testing.T) {
	e := newExecutor(t, executor.WithSlots(1))
	started, hold := make(chan struct{}, 10), make(chan struct{})
	client, server := start(t, e, &service{unary: func(context.Context) error { started <- struct{}{}; <-hold; return nil }})
	answers := make(chan error, 5)
	for range 5 {
		go func() { _, err := client.EmptyCall(context.Background(), new(testgrpc.Empty)); answers <- err }()
	}
	<-started
	for e.Stats().Submitted < 5 {
		time.Sleep(time.Millisecond)
	}
	ended := make(chan error, 1)
	go func() {
		server.GracefulStop()
		ended <- e.Shutdown(context.Background())
	}()
	close(hold)
	for range 5 {
		require.NoError(t, <-answers)
	}
	require.NoError(t, <-ended)
}

// The handler runs on grpc's goroutine: a panic passes through with its own stack, a Goexit ends that goroutine. Mutant: run
// submits and waits.
func TestServer_PanicsAndGoexitPassThrough(t *testing.T) {
	e := newExecutor(t)
	intercept := execgrpc.UnaryServer(e)
	call := func(fn func()) {
		_, _ = intercept(context.Background(), nil, new(grpc.UnaryServerInfo), func(context.Context, any) (any, error) { fn(); return nil, nil })
	}
	func() {
		defer func() {
			require.Equal(t, "boom", recover())
			require.Contains(t, string(debug.Stack()), "explode")
		}()
		call(explode)
	}()
	ended := make(chan bool)
	go func() {
		back := false
		defer func() { ended <- back }()
		call(runtime.Goexit)
		back = true
	}()
	require.False(t, <-ended)
	require.NoError(t, e.Quiesce(context.Background()))
	require.EqualValues(t, 2, e.Stats().Panicked)
	require.Panics(t, func() { execgrpc.StreamServer(nil) })
}

func explode() { panic("boom") }

// A hundred calls that wait for each other on one slot without stall detection, unary and streams. Mutants: a call of the
// client outside of Blocking.
func TestClient_WaitsLendTheSlot(t *testing.T) {
	const calls = 100
	var unary, stream sync.WaitGroup
	unary.Add(calls)
	stream.Add(calls)
	client, _ := start(t, nil, &service{
		unary: func(context.Context) error { unary.Done(); unary.Wait(); return nil },
		stream: func(s testgrpc.TestService_FullDuplexCallServer) error {
			stream.Done()
			stream.Wait()
			return s.Send(new(testgrpc.StreamingOutputCallResponse))
		},
	})
	e := newExecutor(t, executor.WithSlots(1), executor.WithStallDetection(false))
	g := e.NewGroup(context.Background())
	for range calls {
		g.Go(func(ctx context.Context) error {
			_, err := client.EmptyCall(ctx, new(testgrpc.Empty))
			return err
		})
		g.Go(func(ctx context.Context) error {
			s, err := client.FullDuplexCall(ctx)
			if err != nil {
				return err
			}
			if err := s.CloseSend(); err != nil {
				return err
			}
			if _, err := s.Header(); err != nil {
				return err
			}
			_, err = s.Recv()
			return err
		})
	}
	require.NoError(t, g.Wait())
}

// A task that waits in a method of a stream lends its slot to the task that ends the wait. Mutants: Header or RecvMsg of
// the client outside of lend.
func TestClient_EachWaitOfAStreamLendsTheSlot(t *testing.T) {
	for name, wait := range map[string]func(testgrpc.TestService_FullDuplexCallClient) error{
		"Header": func(s testgrpc.TestService_FullDuplexCallClient) error { _, err := s.Header(); return err },
		"Recv":   func(s testgrpc.TestService_FullDuplexCallClient) error { _, err := s.Recv(); return err },
	} {
		t.Run(name, func(t *testing.T) {
			over := make(chan struct{})
			client, _ := start(t, nil, &service{stream: func(s testgrpc.TestService_FullDuplexCallServer) error {
				<-over
				return s.Send(new(testgrpc.StreamingOutputCallResponse))
			}})
			stream, err := client.FullDuplexCall(t.Context())
			require.NoError(t, err)
			e := newExecutor(t, executor.WithSlots(1), executor.WithStallDetection(false))
			waits, err := executor.Submit(t.Context(), e, func(context.Context) (struct{}, error) { return struct{}{}, wait(stream) })
			require.NoError(t, err)
			require.NoError(t, e.Go(t.Context(), func(context.Context) { close(over) }))
			_, err = waits.Wait(t.Context())
			require.NoError(t, err)
		})
	}
}

// Each call waits in the lane that WithContext chooses, and each lane has its own bound. Mutants seen to fail: all lanes have one
// count together; a lane that there is not is told like a full one.
func TestServer_ChoosesLanes(t *testing.T) {
	e := newExecutor(t, executor.WithSlots(1), executor.WithStallDetection(false), executor.WithLanes(executor.Lane{Name: "batch"}))
	hold := make(chan struct{})
	client, _ := start(t, e, &service{unary: func(context.Context) error { <-hold; return nil }}, execgrpc.WithWaiting(1),
		execgrpc.WithContext(func(ctx context.Context, method string) context.Context {
			for _, lane := range metadata.ValueFromIncomingContext(ctx, "lane") {
				ctx = executor.WithLane(ctx, lane)
			}
			return ctx
		}))
	call := func(lane string) codes.Code {
		_, err := client.EmptyCall(metadata.AppendToOutgoingContext(context.Background(), "lane", lane), new(testgrpc.Empty))
		return status.Code(err)
	}
	var all sync.WaitGroup
	for i, lane := range []string{"batch", "batch", ""} { // one runs, and one of each lane waits
		all.Go(func() {
			if code := call(lane); code != codes.OK {
				t.Errorf("%q: %s", lane, code)
			}
		})
		for s := e.Stats(); s.Running != 1 || s.Queued != i; s = e.Stats() {
			time.Sleep(time.Millisecond)
		}
	}
	require.Equal(t, codes.Unavailable, call("batch"))
	require.Equal(t, codes.Unavailable, call(""))
	require.Equal(t, codes.Internal, call("nowhere"))
	close(hold)
	all.Wait()
}
