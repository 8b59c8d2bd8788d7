module github.com/left4med/left4med

go 1.26.0

require github.com/google/go-cmp v0.7.0
