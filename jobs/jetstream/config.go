package jetstream

import (
	"errors"
	"fmt"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"
)

// Config describes a queue. All workers and senders of a queue should use the same.
type Config struct {
	// Name of the queue: letters, digits, - and _.
	Name string
	// Replicas of streams and buckets: 1 (the default), 3 or 5.
	Replicas int
	// AckWait is how long a job belongs to a worker that is not heard of; a worker tells three times as often that it lives. The
	// default is 30 s. Jobs of a worker that died wait so long; one that is stopped for longer loses its jobs to others.
	AckWait time.Duration
	// Partitions is how many keys can make progress at once: a job with a key waits for every other one in its key's partition. The
	// default is 4. It must not be changed while jobs with keys are in the queue: their order would be lost. -1: there are no keys, and Send refuses one.
	Partitions int
	// DedupeWindow is how long jobs.Dedupe remembers. The default is 2 min.
	DedupeWindow time.Duration
	// MaxBytes and MaxJobs bound the stream; 0 is no bound. At the bound Send returns an error.
	MaxBytes int64
	MaxJobs  int64
	// MaxDeliver bounds deliveries at the broker, given back ones included. The default is no bound: Serve counts attempts
	// itself, without those. Above 0, what reaches it is made a dead letter by the workers that run then.
	MaxDeliver int
	// DeadMaxAge and DeadMaxJobs bound the dead letters. The defaults are 30 days and 100,000.
	DeadMaxAge  time.Duration
	DeadMaxJobs int64
	// Memory keeps everything in the servers' memory: it is gone with them.
	Memory bool
	// SendWait is how long Send tries while the broker can not be reached, if its context has no deadline. The default is 30 s.
	SendWait time.Duration
}

// poll is how long one request for work waits at the broker. A drain waits for it.
const poll = time.Second

func (c Config) complete() (Config, error) {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("jobs/jetstream: Config."+format, args...))
	}
	if c.Name == "" {
		bad("Name: must not be empty")
	}
	for _, r := range c.Name {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' {
			bad("Name %q: only letters, digits, - and _", c.Name)
			break
		}
	}
	set := func(name string, d *time.Duration, def, least time.Duration) {
		switch {
		case *d == 0:
			*d = def
		case *d < least:
			bad("%s %v: must be at least %v", name, *d, least)
		}
	}
	set("AckWait", &c.AckWait, 30*time.Second, 100*time.Millisecond)
	set("DedupeWindow", &c.DedupeWindow, 2*time.Minute, 100*time.Millisecond)
	set("DeadMaxAge", &c.DeadMaxAge, 30*24*time.Hour, time.Second)
	set("SendWait", &c.SendWait, 30*time.Second, time.Millisecond)
	if c.Replicas == 0 {
		c.Replicas = 1
	}
	if c.Replicas < 1 || c.Replicas > 5 {
		bad("Replicas %d: must be 1 to 5", c.Replicas)
	}
	switch {
	case c.Partitions == 0:
		c.Partitions = 4
	case c.Partitions == -1:
		c.Partitions = 0
	case c.Partitions < 0 || c.Partitions > 256:
		bad("Partitions %d: must be 1 to 256, or -1 for none", c.Partitions)
	}
	if c.DeadMaxJobs == 0 {
		c.DeadMaxJobs = 100_000
	}
	for name, n := range map[string]int64{"MaxBytes": c.MaxBytes, "MaxJobs": c.MaxJobs, "DeadMaxJobs": c.DeadMaxJobs, "MaxDeliver": int64(c.MaxDeliver)} {
		if n < 0 {
			bad("%s %d: must not be negative", name, n)
		}
	}
	return c, errors.Join(errs...)
}

func (c Config) prefix() string  { return "jobs." + c.Name + "." }
func (c Config) dead() string    { return c.Name + "-dead" }
func (c Config) untried() string { return c.Name + "-untried" }
func (c Config) claims() string  { return c.Name + "-claims" }

func orNone(n int64) int64 {
	if n == 0 {
		return -1
	}
	return n
}

func (c Config) storage() natsjs.StorageType {
	if c.Memory {
		return natsjs.MemoryStorage
	}
	return natsjs.FileStorage
}

func (c Config) stream() natsjs.StreamConfig {
	s := natsjs.StreamConfig{
		Name: c.Name, Description: "jobs, until they are done or dead", Retention: natsjs.WorkQueuePolicy,
		Subjects: []string{c.prefix() + "any.>", c.prefix() + "key.>", c.prefix() + "due.>"},
		Storage:  c.storage(), Replicas: c.Replicas, Duplicates: c.DedupeWindow,
		MaxBytes: orNone(c.MaxBytes), MaxMsgs: orNone(c.MaxJobs), MaxAge: 0, MaxMsgSize: -1, MaxConsumers: -1,
		Discard: natsjs.DiscardNew,
	}
	if c.MaxBytes == 0 && c.MaxJobs == 0 { // a bound must refuse, and the server does not allow that together with schedules
		s.Discard, s.AllowMsgSchedules = natsjs.DiscardOld, true
	}
	return s
}

func (c Config) deadStream() natsjs.StreamConfig {
	return natsjs.StreamConfig{
		Name: c.dead(), Description: "dead letters of " + c.Name, Retention: natsjs.LimitsPolicy,
		Subjects: []string{c.prefix() + "dead.>"}, Storage: c.storage(), Replicas: c.Replicas, Duplicates: c.DedupeWindow,
		MaxAge: c.DeadMaxAge, MaxMsgs: orNone(c.DeadMaxJobs), MaxBytes: -1, MaxMsgSize: -1, MaxConsumers: -1, Discard: natsjs.DiscardOld,
	}
}

// lanes are the consumers: one for jobs without a key, and one a partition.
func (c Config) lanes() []natsjs.ConsumerConfig {
	deliver := -1
	if c.MaxDeliver > 0 {
		deliver = c.MaxDeliver
	}
	lane := func(name, subject string, inFlight int) natsjs.ConsumerConfig {
		return natsjs.ConsumerConfig{
			Durable: name, AckPolicy: natsjs.AckExplicitPolicy, AckWait: c.AckWait, MaxDeliver: deliver,
			FilterSubject: subject, MaxAckPending: inFlight, MaxWaiting: 4096,
		}
	}
	list := []natsjs.ConsumerConfig{lane("any", c.prefix()+"any.>", -1)}
	for i := range c.Partitions {
		list = append(list, lane(fmt.Sprintf("key-%d", i), fmt.Sprintf("%skey.%d.>", c.prefix(), i), 1))
	}
	return list
}
