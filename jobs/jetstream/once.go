package jetstream

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/seed-97bda89a/executor/jobs"
)

const (
	claimed = "claimed"
	done    = "done"
	keptFor = 7 * 24 * time.Hour // how long it is remembered that an effect is done
)

// Once runs an effect that lies outside of any database, at most once while the claim lives: a mail, a call of somebody's
// API. The claim is for the job of ctx, and lives for ttl, which should be longer than the effect can take: its context ends
// with the claim. If the effect is done, Once does nothing and returns nil, for 7 days. If another worker has the claim, it returns an error of jobs.Postpone:
// return it from the handler. If the effect fails, the claim is given up and the error returned.
//
// A worker that dies, or that is stopped for longer than ttl, in the middle of the effect leaves a claim that ends after ttl. Then
// another worker runs the effect, perhaps a second time: nobody can know. What takes a key for idempotence should be given jobs.Info.Ref.
func (q *Queue) Once(ctx context.Context, ttl time.Duration, effect func(context.Context) error) error {
	info, ok := jobs.InfoOf(ctx)
	switch {
	case !ok:
		return errors.New("jobs/jetstream: Once: ctx belongs to no job")
	case ttl < time.Second:
		return fmt.Errorf("jobs/jetstream: Once: a ttl of %v: must be at least 1s", ttl)
	case effect == nil:
		return errors.New("jobs/jetstream: Once: the effect must not be nil")
	}
	kv, err := q.claimBucket(ctx)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(info.Ref))
	key := hex.EncodeToString(sum[:16])
	began := time.Now() // before the claim: it ends later than we think
	revision, err := kv.Create(ctx, key, []byte(claimed), natsjs.KeyTTL(ttl))
	if errors.Is(err, natsjs.ErrKeyExists) {
		entry, err := kv.Get(ctx, key)
		switch {
		case err == nil && string(entry.Value()) == done:
			return nil
		case err != nil && !errors.Is(err, natsjs.ErrKeyNotFound):
			return fmt.Errorf("jobs/jetstream: Once: %w", err)
		}
		return jobs.Postpone(ttl/4, fmt.Errorf("jobs/jetstream: another worker has the claim on %s", info.Ref))
	}
	if err != nil {
		return fmt.Errorf("jobs/jetstream: Once: %w", err)
	}
	within, cancel := context.WithDeadline(ctx, began.Add(ttl))
	defer cancel()
	err = effect(within)
	after, stop := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer stop()
	if err != nil {
		_ = kv.Delete(after, key, natsjs.LastRevision(revision)) // else it ends by itself
		return err
	}
	if _, err := kv.Update(after, key, []byte(done), revision); err != nil {
		return fmt.Errorf("jobs/jetstream: Once: the effect is done, and could not be noted: %w", err)
	}
	return nil
}

func (q *Queue) claimBucket(ctx context.Context) (natsjs.KeyValue, error) {
	q.mu.Lock()
	kv := q.claims
	q.mu.Unlock()
	if kv != nil {
		return kv, nil
	}
	kv, err := q.bucket(ctx, natsjs.KeyValueConfig{
		Bucket: q.cfg.claims(), Description: "claims of effects", TTL: keptFor, LimitMarkerTTL: time.Second,
		Storage: q.cfg.storage(), Replicas: q.cfg.Replicas,
	})
	if err != nil {
		return nil, fmt.Errorf("jobs/jetstream: Once: %w", err)
	}
	q.mu.Lock()
	q.claims = kv
	q.mu.Unlock()
	return kv, nil
}
