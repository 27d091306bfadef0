package session

import "slices"

// spentFile is what is remembered of a file that is over.
type spentFile struct {
	print     [32]byte // of its sender and its content
	done      bool     // every receiver that stayed has it
	receivers int
	total     int64
	end       *Packet // its end_file, where done
}

// spentFiles remembers the last maxSpent files: an id is never another file's, since both would be sealed with the
// same key. The oldest goes first.
type spentFiles struct {
	files map[string]map[fileID]spentFile
	order []spentKey
}

type spentKey struct {
	session string
	id      fileID
}

func (s *spentFiles) find(session string, id fileID) (spentFile, bool) {
	f, ok := s.files[session][id]
	return f, ok
}

func (s *spentFiles) add(session string, id fileID, f spentFile) {
	if s.files == nil {
		s.files = make(map[string]map[fileID]spentFile)
	}
	if s.files[session] == nil {
		s.files[session] = make(map[fileID]spentFile)
	}
	if _, again := s.files[session][id]; !again {
		s.order = append(s.order, spentKey{session, id})
	}
	s.files[session][id] = f
	if len(s.order) > maxSpent {
		oldest := s.order[0]
		s.order = s.order[1:]
		delete(s.files[oldest.session], oldest.id)
		if len(s.files[oldest.session]) == 0 {
			delete(s.files, oldest.session)
		}
	}
}

func (s *spentFiles) drop(session string) {
	delete(s.files, session)
	s.order = slices.DeleteFunc(s.order, func(k spentKey) bool { return k.session == session })
}
