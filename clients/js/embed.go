// Package js is the JavaScript SDK as every node serves it: fastport.js and its modules under src, as they stand here, with
// no build between. The SDK's own tests run from this folder too.
package js

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"time"
)

//go:embed fastport.js src
var modules embed.FS

// module is one file, ready to be sent.
type module struct {
	text []byte
	etag string
}

// Handler serves the modules below prefix ("/sdk/"). Pages of any origin may import them: they hold nothing of this node's.
// A browser keeps them and asks each time whether they are still the same: a page never runs modules of two versions.
func Handler(prefix string) http.Handler {
	served, err := load()
	if err != nil { // what is embedded can be read
		panic(err)
	}
	return http.StripPrefix(prefix, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m, ok := served[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "text/javascript; charset=utf-8")
		h.Set("Cache-Control", "no-cache")
		h.Set("ETag", m.etag)
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Cross-Origin-Resource-Policy", "cross-origin")
		http.ServeContent(w, r, r.URL.Path, time.Time{}, bytes.NewReader(m.text))
	}))
}

func load() (map[string]module, error) {
	served := map[string]module{}
	err := fs.WalkDir(modules, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".js") {
			return err
		}
		text, err := modules.ReadFile(path)
		served[path] = module{text: text, etag: fmt.Sprintf(`"%x"`, sha256.Sum256(text))}
		return err
	})
	return served, err
}
