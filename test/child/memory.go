package child

// Memory is the memory of a process, in bytes: resident now, the most ever, and the
// part of now that are pages of files, that is, of the program.
type Memory struct{ Now, Peak, File int64 }
