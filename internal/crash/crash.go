// Package crash marks contexts of tasks whose panics end the process, whatever panic handler the executor
// has. The packages below compat need it: there a panic does what it does in the package they stand for.
package crash

import "context"

type key struct{}

type marked struct{ context.Context }

func (m marked) Value(k any) any {
	if _, ours := k.(key); ours {
		return true
	}
	return m.Context.Value(k)
}

// Context returns ctx with the mark.
func Context(ctx context.Context) context.Context { return marked{ctx} }

// Marked reports whether ctx has the mark.
func Marked(ctx context.Context) bool { return ctx.Value(key{}) != nil }
