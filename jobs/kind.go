package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Kind is one sort of job: a name, and the handler that runs it. Make it once, as a package variable, in code that both senders
// and workers import.
type Kind[A any] struct {
	kind
}

// AnyKind is a Kind of any arguments.
type AnyKind interface {
	Name() string
	base() *kind
}

// kind is a Kind without its type.
type kind struct {
	name   string
	misuse error // Define got a bad argument
	policy policy
	decode func(*Message) (any, error)
	handle func(ctx context.Context, args any) error
}

func (k *kind) Name() string { return k.name }
func (k *kind) base() *kind  { return k }

// Define makes a Kind. The name goes into the broker's subjects: letters, digits, - and _, at most 100 of them. Handlers of
// the same name must agree on what the arguments look like; a field that is new must have a useful zero value, for a worker
// meets jobs of older senders. A bad argument is reported by Go and Serve.
//
// The handler's ctx ends at the job's Deadline. An error, a panic or a Goexit is a failed attempt: see Attempts,
// Permanent, RetryIn.
func Define[A any](name string, h func(ctx context.Context, args A) error, opts ...Policy) *Kind[A] {
	k := &Kind[A]{kind{name: name, policy: defaultPolicy()}}
	k.misuse = checkName("Define: a name", name)
	if h == nil {
		k.misuse = errors.Join(k.misuse, fmt.Errorf("jobs: Define(%q): the handler must not be nil", name))
	}
	for i, opt := range opts {
		if opt == nil {
			k.misuse = errors.Join(k.misuse, fmt.Errorf("jobs: Define(%q): policy %d is nil", name, i))
			continue
		}
		if err := opt(&k.policy); err != nil {
			k.misuse = errors.Join(k.misuse, err)
		}
	}
	k.decode = func(m *Message) (any, error) {
		args := new(A)
		if err := k.policy.codec.Unmarshal(m.Body, args); err != nil {
			return nil, err
		}
		return *args, nil
	}
	k.handle = func(ctx context.Context, args any) error {
		a, _ := args.(A) // of an interface type it may be nil
		return h(ctx, a)
	}
	return k
}

// Kinds makes the list that Serve wants.
func Kinds(kinds ...AnyKind) []AnyKind { return kinds }

// Go sends a job. When it returns nil, on has the job. Its errors: arguments that can not be encoded or are
// too large, a bad option, and those of the Sender. After another error than these the job may have been accepted all the
// same: send it again with the same Dedupe.
func (k *Kind[A]) Go(ctx context.Context, on Sender, args A, opts ...Send) error {
	switch {
	case k == nil:
		return errors.New("jobs: Go on a nil Kind")
	case k.misuse != nil:
		return k.misuse
	case on == nil:
		return fmt.Errorf("jobs: %s.Go: the Sender must not be nil", k.name)
	case ctx == nil:
		return fmt.Errorf("jobs: %s.Go: the context must not be nil", k.name)
	}
	m := &Message{Kind: k.name, Sent: time.Now(), kind: &k.kind, args: args}
	if k.policy.keyOf != nil {
		key, err := k.policy.keyOf(args)
		if err != nil {
			return err
		}
		m.Key = key
	}
	for _, opt := range opts {
		if opt == nil {
			return fmt.Errorf("jobs: %s.Go: an option is nil", k.name)
		}
		if err := opt(m); err != nil {
			return err
		}
	}
	if m.ID == "" {
		m.ID = newID()
	}
	if local, ok := on.(*LocalQueue); !ok || local.strict {
		body, err := k.policy.codec.Marshal(args)
		if err != nil {
			return fmt.Errorf("jobs: %s.Go: %w", k.name, err)
		}
		if len(body) > k.policy.maxBytes {
			return fmt.Errorf("jobs: %s.Go: %d bytes, at most %d: %w", k.name, len(body), k.policy.maxBytes, ErrTooLarge)
		}
		m.Body = body
	}
	end := startSend(ctx, m)
	err := on.Send(ctx, m)
	end(err)
	return err
}

// Codec turns arguments into bytes and back. Its methods may be called from any goroutine, and never panic on bytes that are not its own.
type Codec interface {
	Marshal(v any) ([]byte, error)
	Unmarshal(data []byte, v any) error
}

// JSON is the Codec of kinds that say nothing: encoding/json. Fields that are not known are ignored, so that an old worker can
// run a newer sender's jobs.
var JSON Codec = jsonCodec{}

type jsonCodec struct{}

func (jsonCodec) Marshal(v any) ([]byte, error)      { return json.Marshal(v) }
func (jsonCodec) Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }
