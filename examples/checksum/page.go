package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// namesPerPage is how many names of one directory are held at once, about 100 bytes each. A directory with more of
// them is read once per page, so fewer make huge directories slow, and more make them dear.
const namesPerPage = 1 << 17

// readBatch is how many names are asked of the directory in one go.
const readBatch = 256

// readPage returns, in byte order, the first limit entries of dir whose names come after a name, and whether there
// are more of them. Directories come unsorted, so finding the first few takes a look at all; what does not belong to
// the page is forgotten at once. An error comes with what could be read before it.
func readPage(dir, after string, limit int) (page []fs.DirEntry, more bool, err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()

	for err == nil {
		var batch []fs.DirEntry
		batch, err = f.ReadDir(readBatch)
		for _, e := range batch {
			if e.Name() > after {
				page = append(page, e)
			}
		}
		// Sorting only when twice the limit has come together costs each entry a few comparisons on average.
		if len(page) >= 2*limit {
			page, more = firstNames(page, limit), true
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	more = more || len(page) > limit
	return firstNames(page, limit), more && err == nil, err
}

// firstNames sorts entries by name and keeps the first limit of them.
func firstNames(entries []fs.DirEntry, limit int) []fs.DirEntry {
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	if len(entries) <= limit {
		return entries
	}
	clear(entries[limit:])
	return entries[:limit]
}
