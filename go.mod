module github.com/left4med/left4med

go 1.26
