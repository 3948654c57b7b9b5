//go:build !unix

package meter

import "time"

// usage knows nothing where there is no getrusage.
func usage() (switches int64, cpu time.Duration) { return 0, 0 }
