package constrained

// Everywhere is built on every system.
const Everywhere = true
