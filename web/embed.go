// Package web holds the browser's side of left4med-web, as `make web` builds it.
package web

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// Files are the built files, index.html at the root; only a README where `make web`
// did not run.
func Files() fs.FS {
	files, err := fs.Sub(dist, "dist")
	if err != nil { // cannot be: the path is a constant and valid
		panic(err)
	}
	return files
}
