// Package jobs runs work that is sent as data: the same handler on the executor of this process, or on those of other
// machines behind a broker. A job survives the process that accepted it if the broker keeps it.
//
//	type Resize struct{ Path string; Width int }
//
//	var resize = jobs.Define("resize", func(ctx context.Context, r Resize) error {
//		...
//	}, jobs.Attempts(5), jobs.Deadline(time.Minute))
//
//	on := jobs.Local(exec)                         // this process; or: on, err := jetstream.New(ctx, js, cfg)
//	err := resize.Go(ctx, on, Resize{"a.png", 640}) // anywhere
//	err = jobs.Serve(ctx, exec, on, jobs.Kinds(resize)) // on each machine that works
//
// # What is promised
//
// A job is run at least once, and it may run more than once: a worker that dies, or that loses touch with the broker,
// leaves its jobs to others. Effects that must not be repeated go through an [Inbox], or through a claim of the adapter.
//
// A job ends in one of two ways: its handler returned nil, or it is a dead letter, with the reason. The handler's errors and
// panics are retried, as often as [Attempts] says. What can never run is dead at once: a kind that nobody knows, a
// body that can not be decoded or is too large, a job that is no longer wanted ([Until]), an error marked with [Permanent].
//
// A worker takes a slot of its executor before it asks the broker for work, so what it holds has begun or is about to. A
// handler inside executor.Blocking frees its slot for the next job, up to [MaxInFlight]. Everything held is kept alive at
// the broker until the job's own [Deadline].
//
// Arguments are values that can be encoded: no functions, no channels. Results do not come back: a reply is a job of
// another kind. Of the sender's context only the trace travels.
package jobs
