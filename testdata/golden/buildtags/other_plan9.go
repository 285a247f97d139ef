package buildtags

// Request would collide with the other.
type Request chan int
