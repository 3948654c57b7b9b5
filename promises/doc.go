// Package promises is what package executor guarantees, one promise after another, as tests that use it as any program
// does. README.md has the table of promises; a file is named after the promise that it attacks.
package promises
