package main

import (
	"errors"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
)

// entry is a regular file of the tree, or a place in it that could not be read.
type entry struct {
	path string
	err  error // nil for a file
}

var errKind = errors.New("neither a directory nor a regular file")

// walk yields the regular files at and below root in the order of a lexical walk: the names of one directory in byte
// order, what a directory contains in the place of its name. Paths begin with root as it was given. root itself may
// be a symbolic link; those below it are passed over, as are devices, sockets and pipes, so a walk always ends.
//
// filepath.WalkDir visits in the same order, but it holds all names of a directory at once, does not enter a root
// that is a link, and cleans the paths it makes, which changes the meaning of "link/../x".
func walk(root string) iter.Seq[entry] {
	return func(yield func(entry) bool) {
		info, err := os.Stat(root)
		switch {
		case err != nil:
			yield(entry{root, err})
		case info.IsDir():
			walkDir(root, namesPerPage, yield)
		case info.Mode().IsRegular():
			yield(entry{root, nil})
		default:
			yield(entry{root, errKind})
		}
	}
}

// walkDir yields what is below dir, page by page, and reports whether to go on.
func walkDir(dir string, pageSize int, yield func(entry) bool) bool {
	for after, more := "", true; more; {
		var page []fs.DirEntry
		var err error
		page, more, err = readPage(dir, after, pageSize)
		for _, e := range page {
			path := join(dir, e.Name())
			switch {
			case e.IsDir():
				if !walkDir(path, pageSize, yield) {
					return false
				}
			case e.Type().IsRegular():
				if !yield(entry{path, nil}) {
					return false
				}
			}
			after = e.Name()
		}
		// What could be read of the directory has had its turn; the rest is lost.
		if err != nil {
			return yield(entry{dir, err})
		}
	}
	return true
}

// join is filepath.Join without the cleaning.
func join(dir, name string) string {
	if os.IsPathSeparator(dir[len(dir)-1]) {
		return dir + name
	}
	return dir + string(filepath.Separator) + name
}
