// Package disk owns how full the file systems of a server's host are.
//
// The folders that PostgreSQL names itself go in; sizes of the file systems
// that hold them come out, each file system once. A folder that cannot be
// looked at is named with the reason, and the others are answered all the
// same. Over SSH one script looks at all of them: a folder's name stands in it
// in single quotes only, and what df prints is framed by a random word, so that
// neither names nor noise on the host change what is run or read. Whatever
// hangs, a look ends in time.
package disk
