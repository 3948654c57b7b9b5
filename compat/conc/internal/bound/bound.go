// Package bound has the executor that the packages of conc share.
package bound

import "github.com/seed-97bda89a/executor/internal/door"

// Registry is where functions of all of conc's packages find an executor.
var Registry door.Registry
