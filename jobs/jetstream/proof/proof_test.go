//go:build unix

package proof

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/seed-97bda89a/executor/jobs"
	"github.com/seed-97bda89a/executor/jobs/jetstream"
	"github.com/stretchr/testify/require"
)

// lasts is how long the chaos of a test goes on.
func lasts(t *testing.T, short time.Duration) time.Duration {
	v := os.Getenv("EXECUTOR_CLUSTER_PROOF")
	if v == "" {
		return short
	}
	d, err := time.ParseDuration(v)
	require.NoError(t, err, "EXECUTOR_CLUSTER_PROOF")
	return d
}

// send keeps jobs coming until the end: every 50th is poison, every 5th has a key.
func send(q *jetstream.Queue, end <-chan struct{}) (n, poison int, err error) {
	effect := jobs.Define("effect", func(context.Context, task) error { return nil }, jobs.KeyOf(func(t task) string { return t.Key }))
	bad := jobs.Define("poison", func(context.Context, task) error { return nil })
	for ; ; n++ {
		select {
		case <-end:
			return n, poison, nil
		default:
		}
		t, kind := task{N: n}, effect
		switch {
		case n%50 == 7:
			kind = bad
			poison++
		case n%5 == 1:
			t.Key = fmt.Sprint("key ", n%4)
		}
		// The same identity, however often it is tried.
		for try := 0; ; try++ {
			if err = kind.Go(context.Background(), q, t, jobs.Dedupe(fmt.Sprint(n))); err == nil {
				break
			}
			if try == 10 {
				return n, poison, err
			}
		}
	}
}

// Workers are killed, stopped for longer than the ack wait, and cut off; the server is killed and started again, and its disk is slow. Then every job's effect was
// there at least once, that of the inbox exactly once and in the order of its key, and the dead letters are the poison.
func TestProof_NothingIsLost(t *testing.T) {
	t.Parallel()
	dir, store, port := t.TempDir(), t.TempDir(), freePort(t)
	require.NoError(t, createTables(dir))
	srv := spawn(t, "server", store, port)
	cable := newProxy(t, "127.0.0.1:"+port)
	nc, js, err := connect(cable.url())
	require.NoError(t, err)
	defer nc.Close()
	q := open(js, config(1))
	worker := func() *process { return spawn(t, "worker", cable.url(), dir, ackWait.String(), "20s") }
	workers := make([]*process, 3)
	for i := range workers {
		workers[i] = worker()
	}
	end, sent := make(chan struct{}), make(chan error, 1)
	var n, poison int
	go func() {
		var err error
		n, poison, err = send(q, end)
		sent <- err
	}()

	counts := make(map[string]int)
	chaos := []string{"worker killed", "worker stopped", "server killed", "disk slow", "connections dropped", "network slow", "network silent", "worker drained"}
	for until, i := time.Now().Add(lasts(t, time.Second)), 0; i < len(chaos) || time.Now().Before(until); i++ {
		time.Sleep(300*time.Millisecond + rand.N(500*time.Millisecond))
		at := rand.N(len(workers))
		what := chaos[i%len(chaos)]
		counts[what]++
		switch what {
		case "worker killed":
			workers[at].kill()
			workers[at] = worker()
		case "worker stopped":
			workers[at].signal(syscall.SIGSTOP)
			time.Sleep(ackWait + ackWait/4)
			workers[at].signal(syscall.SIGCONT)
		case "server killed":
			srv.kill()
			srv = spawn(t, "server", store, port)
		case "disk slow":
			srv.signal(syscall.SIGUSR1)
			time.Sleep(slowFor)
		case "connections dropped":
			cable.drop(0.5)
		case "network slow":
			cable.delay.Store(int64(20 * time.Millisecond))
			time.Sleep(500 * time.Millisecond)
			cable.delay.Store(0)
		case "network silent":
			cable.dead.Store(true)
			time.Sleep(time.Second)
			cable.dead.Store(false)
		case "worker drained":
			workers[at].signal(syscall.SIGTERM)
			if workers[at].cmd.Wait() != nil { // the broker could not be told everything, while the network was as it was
				counts["drain with an error"]++
			}
			workers[at] = worker()
		}
	}
	close(end)
	require.NoError(t, <-sent)
	empty := func() bool {
		d, err := q.Depth(context.Background())
		return err == nil && d.Waiting+d.InFlight+d.Delayed == 0
	}
	for !empty() {
		time.Sleep(50 * time.Millisecond)
	}
	for _, w := range workers {
		w.signal(syscall.SIGTERM)
		require.NoError(t, w.cmd.Wait())
	}
	judge(t, js, dir, n, poison, counts)
}

// Workers are drained all the time, and every job may be tried once: none is dead, and each has its effect once. Handlers whose context
// a drain ends have none. Mutants: Retry instead of Return in decide, in giveBack, and in what Queue.Drain gives back.
func TestProof_ADrainBurnsNothing(t *testing.T) {
	t.Parallel()
	dir, port := t.TempDir(), freePort(t)
	require.NoError(t, createTables(dir))
	spawn(t, "server", t.TempDir(), port)
	nc, js, err := connect("nats://127.0.0.1:" + port)
	require.NoError(t, err)
	defer nc.Close()
	cfg := config(1)
	cfg.AckWait = time.Minute // no worker is lost here, however slow the machine is
	q := open(js, cfg)
	single := jobs.Define("single", func(context.Context, task) error { return nil })
	const n = 400
	for i := range n {
		require.NoError(t, single.Go(context.Background(), q, task{N: i}))
	}
	worker := func() *process {
		return spawn(t, "worker", nc.ConnectedUrl(), dir, cfg.AckWait.String(), "0s")
	}
	workers := []*process{worker(), worker()}
	left := func() uint64 {
		for {
			if d, err := q.Depth(context.Background()); err == nil {
				return d.Waiting + d.InFlight + d.Delayed
			}
		}
	}
	drains := 0
	for at := left(); at > 0; drains++ {
		was := at
		for at > 0 && at > was-min(was, 20) { // in the middle of its work
			time.Sleep(time.Millisecond)
			at = left()
		}
		w := workers[drains%2]
		w.signal(syscall.SIGTERM)
		require.NoError(t, w.cmd.Wait(), "a drain ends well")
		workers[drains%2] = worker()
	}
	for _, w := range workers {
		w.signal(syscall.SIGTERM)
		require.NoError(t, w.cmd.Wait())
	}
	ran, _ := effects(t, dir)
	for i := range n {
		require.Equal(t, 1, ran[i], "job %d", i)
	}
	d, err := q.Depth(context.Background())
	require.NoError(t, err)
	require.Equal(t, jobs.Depth{}, d)
	t.Logf("%d jobs, %d drains", n, drains)
}

// judge compares what was sent with what is there.
func judge(t *testing.T, js natsjs.JetStream, dir string, n, poison int, chaos map[string]int) {
	ran, once := effects(t, dir)
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "effects.db"))
	require.NoError(t, err)
	defer db.Close()
	rows, err := db.Query("SELECT n, key FROM effects ORDER BY at")
	require.NoError(t, err)
	exact, last := make(map[int]int), make(map[string]int)
	for rows.Next() {
		var i int
		var key string
		require.NoError(t, rows.Scan(&i, &key))
		exact[i]++
		if key != "" {
			require.Greater(t, i, last[key]-1, "order of %s", key)
			last[key] = i + 1
		}
	}
	require.NoError(t, rows.Err())

	lost, twice, repeated := 0, 0, 0
	for i := range n {
		if i%50 == 7 {
			require.Zero(t, ran[i], "poison ran")
			continue
		}
		if ran[i] == 0 || exact[i] == 0 || i%10 == 0 && once[i] == 0 {
			lost++
		}
		if ran[i] > 1 {
			twice++
		}
		if once[i] > 1 {
			repeated++
		}
		require.LessOrEqual(t, exact[i], 1, "the inbox let job %d through again", i)
	}
	require.Zero(t, lost, "jobs without their effect")
	dead, err := js.Stream(context.Background(), "proof-dead")
	require.NoError(t, err)
	require.EqualValues(t, poison, dead.CachedInfo().State.Msgs, "dead letters")
	t.Logf("%d jobs, %d of them poison; %d ran more than once, %d claimed effects were repeated after their claim; %v", n, poison, twice, repeated,
		strings.TrimPrefix(fmt.Sprint(chaos), "map"))
}

// effects counts what the workers wrote to their files.
func effects(t *testing.T, dir string) (ran, once map[int]int) {
	ran, once = make(map[int]int), make(map[int]int)
	files, err := filepath.Glob(filepath.Join(dir, "effects-*"))
	require.NoError(t, err)
	for _, name := range files {
		f, err := os.Open(name)
		require.NoError(t, err)
		for lines := bufio.NewScanner(f); lines.Scan(); {
			var what string
			var i int
			if _, err := fmt.Sscan(lines.Text(), &what, &i); err != nil {
				continue // cut off by a kill
			}
			if what == "ran" {
				ran[i]++
			} else {
				once[i]++
			}
		}
		_ = f.Close()
	}
	return ran, once
}
