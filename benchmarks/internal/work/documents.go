package work

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// An Order is what the documents of the decode benchmark hold.
type Order struct {
	ID       int               `json:"id"`
	Customer string            `json:"customer"`
	Tags     map[string]string `json:"tags"`
	Lines    []OrderLine       `json:"lines"`
}

// An OrderLine is one position of an Order.
type OrderLine struct {
	Article string  `json:"article"`
	Count   int     `json:"count"`
	Price   float64 `json:"price"`
}

// Documents returns n orders as JSON, about a kilobyte each, and the number of
// articles in all of them.
func Documents(n int) (docs [][]byte, articles int) {
	r := rand.New(rand.NewPCG(3, 4))
	for id := range n {
		o := Order{ID: id, Customer: fmt.Sprintf("customer %d", r.IntN(1000)), Tags: map[string]string{"channel": "web"}}
		for line := range 5 + r.IntN(20) {
			count := 1 + r.IntN(9)
			articles += count
			o.Lines = append(o.Lines, OrderLine{fmt.Sprintf("article %d", line), count, float64(r.IntN(9999)) / 100})
		}
		doc, err := json.Marshal(o)
		if err != nil {
			panic(err) // an Order can always be written
		}
		docs = append(docs, doc)
	}
	return docs, articles
}

// CountArticles is one pass of the pipeline: decode, transform, encode. It
// returns the articles in the document.
func CountArticles(doc []byte) (int, error) {
	var o Order
	if err := json.Unmarshal(doc, &o); err != nil {
		return 0, err
	}
	articles, value := 0, 0.0
	for _, l := range o.Lines {
		articles += l.Count
		value += float64(l.Count) * l.Price
	}
	o.Tags["value"] = fmt.Sprintf("%.2f", value)
	if _, err := json.Marshal(o); err != nil {
		return 0, err
	}
	return articles, nil
}

// FileTree writes n files of very different sizes below dir and returns their
// paths.
func FileTree(dir string, n int) ([]string, error) {
	r := rand.New(rand.NewPCG(5, 6))
	block := make([]byte, 1<<20)
	for i := range block {
		block[i] = byte(r.Uint32())
	}
	var paths []string
	for i := range n {
		sub := filepath.Join(dir, fmt.Sprintf("d%d", i%16))
		if err := os.MkdirAll(sub, 0o755); err != nil {
			return nil, err
		}
		size := 1 << (10 + r.IntN(11)) // 1 KB to 1 MB
		path := filepath.Join(sub, fmt.Sprintf("f%d", i))
		if err := os.WriteFile(path, block[:size-r.IntN(512)], 0o600); err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// Digest is a SHA-256 sum.
type Digest = [sha256.Size]byte

// Combine folds digests into one that does not depend on their order.
func Combine(digests []Digest) (all Digest) {
	for _, d := range digests {
		for i := range all {
			all[i] ^= d[i]
		}
	}
	return all
}
