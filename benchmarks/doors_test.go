package benchmarks

import (
	"context"
	"sync"
	"testing"
	"time"

	peerpond "github.com/alitto/pond/v2"
	peerworkerpool "github.com/gammazero/workerpool"
	peerants "github.com/panjf2000/ants/v2"
	peerconc "github.com/sourcegraph/conc/pool"
	peererrgroup "golang.org/x/sync/errgroup"

	"github.com/seed-97bda89a/executor"
	doorants "github.com/seed-97bda89a/executor/compat/ants"
	"github.com/seed-97bda89a/executor/compat/conc"
	doorconc "github.com/seed-97bda89a/executor/compat/conc/pool"
	doorerrgroup "github.com/seed-97bda89a/executor/compat/errgroup"
	doorpond "github.com/seed-97bda89a/executor/compat/pond"
	doorworkerpool "github.com/seed-97bda89a/executor/compat/workerpool"
)

// BenchmarkDoors runs each package of compat beside the one that it stands for. The loops are the same:
//
//	submit    empty tasks, awaited together
//	wait      one empty task at a time, awaited
//	blocking  1,000 tasks that sleep 10 ms each, in a pool of 1,000
//	large     the same in a pool of 10,000
//	nested    100 tasks that each start 10 and wait for them
func BenchmarkDoors(b *testing.B) {
	e, err := executor.New()
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	defer conc.Use(e)()
	defer doorerrgroup.Use(e)()

	for _, d := range []struct {
		name       string
		peer, door func(size int) door
	}{
		{"errgroup", func(size int) door { return errgroups(size, func() errGroup { return new(peererrgroup.Group) }) },
			func(size int) door { return errgroups(size, func() errGroup { return new(doorerrgroup.Group) }) }},
		{"conc", func(size int) door {
			return concs(size, func(size int) concPool { return peerconc.New().WithMaxGoroutines(size) })
		}, func(size int) door {
			return concs(size, func(size int) concPool { return doorconc.New().WithMaxGoroutines(size) })
		}},
		{"ants", func(size int) door { p, err := peerants.NewPool(size); return ofAnts(p, err) },
			func(size int) door { p, err := doorants.NewPool(size); return ofAnts(p, err) }},
		{"workerpool", func(size int) door { p := peerworkerpool.New(size); return door{p.Submit, p.StopWait} },
			func(size int) door { p := doorworkerpool.New(size); return door{p.Submit, p.StopWait} }},
		{"pond", func(size int) door {
			p := peerpond.NewPool(size)
			return door{func(f func()) { _ = p.Go(f) }, p.StopAndWait}
		},
			func(size int) door {
				p := doorpond.NewPool(size)
				return door{func(f func()) { _ = p.Go(f) }, p.StopAndWait}
			}},
	} {
		for _, side := range []struct {
			name string
			make func(size int) door
		}{{"peer", d.peer}, {"door", d.door}} {
			name := func(row string) string { return row + "/" + d.name + "/" + side.name }
			b.Run(name("submit"), func(b *testing.B) { submitAll(b, side.make(100)) })
			b.Run(name("wait"), func(b *testing.B) { oneByOne(b, side.make(100)) })
			b.Run(name("blocking"), func(b *testing.B) { sleepers(b, side.make(1000)) })
			b.Run(name("large"), func(b *testing.B) { sleepers(b, side.make(10000)) })
			b.Run(name("nested"), func(b *testing.B) { nested(b, side.make(100), side.make(10)) })
		}
	}
}

// door is a pool: how a task is started, and how the pool ends, when its tasks have.
type door struct {
	start func(func())
	stop  func()
}

type errGroup interface {
	SetLimit(int)
	Go(func() error)
	Wait() error
}

func errgroups(size int, make func() errGroup) door {
	g := make()
	g.SetLimit(size)
	return door{func(f func()) { g.Go(func() error { f(); return nil }) }, func() { _ = g.Wait() }}
}

type concPool interface {
	Go(func())
	Wait()
}

func concs(size int, make func(int) concPool) door {
	p := make(size)
	return door{p.Go, p.Wait}
}

func ofAnts(p interface {
	Submit(func()) error
	ReleaseTimeout(time.Duration) error
}, err error) door {
	if err != nil {
		panic(err)
	}
	return door{func(f func()) { _ = p.Submit(f) }, func() { _ = p.ReleaseTimeout(time.Minute) }}
}

func submitAll(b *testing.B, d door) {
	defer d.stop()
	b.ReportAllocs()
	var all sync.WaitGroup
	for b.Loop() {
		all.Add(1)
		d.start(all.Done)
	}
	all.Wait()
}

func oneByOne(b *testing.B, d door) {
	defer d.stop()
	done := make(chan struct{})
	task := func() { done <- struct{}{} }
	for b.Loop() {
		d.start(task)
		<-done
	}
}

func sleepers(b *testing.B, d door) {
	defer d.stop()
	for b.Loop() {
		var all sync.WaitGroup
		all.Add(1000)
		for range 1000 {
			d.start(func() { time.Sleep(10 * time.Millisecond); all.Done() })
		}
		all.Wait()
	}
}

func nested(b *testing.B, outer, inner door) {
	defer inner.stop()
	defer outer.stop()
	for b.Loop() {
		var all sync.WaitGroup
		all.Add(100)
		for range 100 {
			outer.start(func() {
				var children sync.WaitGroup
				children.Add(10)
				for range 10 {
					inner.start(children.Done)
				}
				executor.Blocking(context.Background(), children.Wait)
				all.Done()
			})
		}
		all.Wait()
	}
}
