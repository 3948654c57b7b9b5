package execdoors

import "golang.org/x/sync/errgroup" // want `golang.org/x/sync/errgroup has a package of the same names`

var group errgroup.Group
