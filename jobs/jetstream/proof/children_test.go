//go:build unix

package proof

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/jobs"
	"github.com/seed-97bda89a/executor/jobs/jetstream"
	_ "modernc.org/sqlite"
)

// The processes of the cluster: the test binary again, with a role in its environment.

const (
	roleEnv = "EXECUTOR_PROOF_ROLE" // server or worker
	argEnv  = "EXECUTOR_PROOF_ARGS" // a line each
	ackWait = 2 * time.Second
	slowFor = time.Second // a slow disk
)

func TestMain(m *testing.M) {
	args := strings.Split(os.Getenv(argEnv), "\n")
	var err error
	switch os.Getenv(roleEnv) {
	case "":
		os.Exit(m.Run())
	case "server":
		err = runServer(args)
	case "worker":
		err = runWorker(args)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, os.Getenv(roleEnv)+":", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// process is one of them.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser // the child ends when it is closed: no child outlives a test that crashes
}

func spawn(t *testing.T, role string, args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), roleEnv+"="+role, argEnv+"="+strings.Join(args, "\n"))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd, in}
	t.Cleanup(p.kill)
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("%s said %q", role, line)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return p
}

func (p *process) signal(s os.Signal) { _ = p.cmd.Process.Signal(s) }

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

func untilStdinEnds() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(3)
}

// runServer takes a directory, a port, and for a cluster the server's name, its route port, and the others' routes.
func runServer(args []string) error {
	port, _ := strconv.Atoi(args[1])
	o := &server.Options{ServerName: "s", JetStream: true, StoreDir: args[0], SyncAlways: true, Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true}
	if len(args) > 2 {
		o.ServerName = args[2]
		o.Cluster.Name, o.Cluster.Host = "proof", "127.0.0.1"
		o.Cluster.Port, _ = strconv.Atoi(args[3])
		o.Routes = server.RoutesFromStr(args[4])
	}
	s, err := server.NewServer(o)
	if err != nil {
		return err
	}
	s.Start()
	for !s.ReadyForConnections(time.Second) {
	}
	go slowDisk(s)
	fmt.Println("ready")
	untilStdinEnds()
	return nil
}

// slowDisk makes the server's disk slow for a while at each SIGUSR1: all that the server may do with its disk at once is taken
// away from it for a tenth of a second, again and again. The field is not exported; the version of the server is pinned.
func slowDisk(s *server.Server) {
	field := reflect.ValueOf(s).Elem().FieldByName("dios").Elem().FieldByName("ch")
	may := *(*chan struct{})(unsafe.Pointer(field.UnsafeAddr()))
	now := make(chan os.Signal, 1)
	signal.Notify(now, syscall.SIGUSR1)
	for range now {
		for end := time.Now().Add(slowFor); time.Now().Before(end); time.Sleep(time.Millisecond) {
			for range cap(may) {
				<-may
			}
			time.Sleep(100 * time.Millisecond)
			for range cap(may) {
				may <- struct{}{}
			}
		}
	}
}

type task struct {
	N   int
	Key string
}

// kinds are those of the proof. dir is where effects go; on is for claims.
func kinds(dir string, on *jetstream.Queue) ([]jobs.AnyKind, error) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "effects.db")+"?_pragma=busy_timeout(60000)&_pragma=synchronous(0)&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	file, err := os.OpenFile(filepath.Join(dir, fmt.Sprintf("effects-%d", os.Getpid())), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	effect := func(ctx context.Context, t task) (err error) {
		executor.Blocking(ctx, func() {
			if _, err = fmt.Fprintln(file, "ran", t.N); err != nil { // at least once
				return
			}
			err = inbox(ctx, db, t) // exactly once
			if err == nil && t.N%10 == 0 {
				err = on.Once(ctx, 3*time.Second, func(context.Context) error { // once, while the claim lives
					_, err := fmt.Fprintln(file, "once", t.N)
					return err
				})
			}
		})
		return err
	}
	many := []jobs.Policy{jobs.Attempts(10000), jobs.Backoff(time.Millisecond, 100*time.Millisecond), jobs.Deadline(time.Minute)}
	return jobs.Kinds(
		jobs.Define("effect", effect, append(many, jobs.KeyOf(func(t task) string { return t.Key }))...),
		jobs.Define("poison", func(context.Context, task) error { return jobs.Permanent(errors.New("poison")) }, many...),
		jobs.Define("single", func(ctx context.Context, t task) error {
			if err := pause(ctx); err != nil {
				return err
			}
			_, err := fmt.Fprintln(file, "ran", t.N)
			return err
		}, jobs.Attempts(1)),
	), nil
}

// pause waits a moment, unless its context ends first.
func pause(ctx context.Context) error {
	timer := time.NewTimer(20 * time.Millisecond)
	defer timer.Stop()
	_, _, err := executor.Receive(ctx, timer.C)
	return err
}

func inbox(ctx context.Context, db *sql.DB, t task) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	first, err := (jobs.Inbox{}).First(ctx, tx)
	if err != nil || !first {
		return err
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO effects (n, key) VALUES (?, ?)", t.N, t.Key); err != nil {
		return err
	}
	return tx.Commit()
}

func createTables(dir string) error {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "effects.db")+"?_pragma=journal_mode(wal)")
	if err != nil {
		return err
	}
	defer db.Close()
	if err := (jobs.Inbox{}).Create(context.Background(), db); err != nil {
		return err
	}
	_, err = db.Exec("CREATE TABLE effects (at INTEGER PRIMARY KEY AUTOINCREMENT, n INTEGER, key TEXT)")
	return err
}

func connect(url string) (*nats.Conn, natsjs.JetStream, error) {
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true), nats.ReconnectWait(50*time.Millisecond),
		nats.PingInterval(time.Second), nats.MaxPingsOutstanding(3), nats.Timeout(2*time.Second))
	if err != nil {
		return nil, nil, err
	}
	js, err := natsjs.New(nc)
	return nc, js, err
}

// open makes the queue, however long the server is away.
func open(js natsjs.JetStream, cfg jetstream.Config) *jetstream.Queue {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		q, err := jetstream.New(ctx, js, cfg)
		cancel()
		if err == nil {
			return q
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func config(replicas int) jetstream.Config {
	return jetstream.Config{Name: "proof", AckWait: ackWait, Replicas: replicas, SendWait: time.Minute}
}

// runWorker takes the server's URL, a directory, an ack wait and a grace, and serves until SIGTERM.
func runWorker(args []string) error {
	url, dir := args[0], args[1]
	cfg := config(1)
	var err1, err2 error
	cfg.AckWait, err1 = time.ParseDuration(args[2])
	grace, err2 := time.ParseDuration(args[3])
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	go untilStdinEnds()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	nc, js, err := connect(url)
	if err != nil {
		return err
	}
	defer nc.Close()
	fmt.Println("ready")
	on := open(js, cfg)
	list, err := kinds(dir, on)
	if err != nil {
		return err
	}
	exec, err := executor.New(executor.WithSlots(2))
	if err != nil {
		return err
	}
	defer exec.Close()
	var log slog.Handler = slog.DiscardHandler
	if os.Getenv("EXECUTOR_PROOF_LOG") != "" {
		log = slog.NewTextHandler(os.Stderr, nil)
	}
	err = jobs.Serve(ctx, exec, on, list, jobs.WithLogger(slog.New(log)), jobs.Grace(grace))
	return errors.Join(err, on.Close(context.Background()))
}

// freePort returns a port that was free a moment ago.
func freePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
