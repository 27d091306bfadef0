package protocol

import "encoding/binary"

// KindChunk is the first byte of a file chunk, the one kind of binary frame.
const KindChunk = 0x02

// Chunk is a piece of a file: [0x02][36-byte fileId][4-byte big-endian index][payload].
type Chunk struct {
	FileID  []byte // aliases the frame
	Index   uint32
	Payload []byte // aliases the frame; sealed, so opaque
}

// ParseChunk reads a binary frame. An error is an [*Error] of code bad_request; FileID is then set if it could be read.
func ParseChunk(b []byte) (Chunk, error) {
	if len(b) == 0 || b[0] != KindChunk {
		return Chunk{}, Errorf(BadRequest, "binary frame: takes the kind 0x02, a file chunk")
	}
	if len(b) < 1+36 {
		return Chunk{}, Errorf(BadRequest, "file chunk: takes 41 bytes of kind, fileId and index before its payload")
	}
	id := b[1:37:37]
	if !ValidFileID(id) {
		return Chunk{}, fieldFileID.refuse()
	}
	if len(b) < ChunkHeader {
		return Chunk{FileID: id}, Errorf(BadRequest, "file chunk: takes 41 bytes of kind, fileId and index before its payload")
	}
	return Chunk{FileID: id, Index: binary.BigEndian.Uint32(b[37:]), Payload: b[ChunkHeader:]}, nil
}

// AppendChunk appends c as a binary frame.
func AppendChunk(dst []byte, c Chunk) []byte {
	return append(AppendChunkHeader(dst, c.FileID, c.Index), c.Payload...)
}

// AppendChunkHeader appends what stands before a chunk's payload, for a sender that seals in place behind it. fileID
// has 36 bytes.
func AppendChunkHeader(dst, fileID []byte, index uint32) []byte {
	dst = append(dst, KindChunk)
	dst = append(dst, fileID...)
	return binary.BigEndian.AppendUint32(dst, index)
}
