package session

import "github.com/fastport/fastport/protocol"

// relayed is a sender's frame as receivers get it: with the fields that it was sent with.
func relayed(f *protocol.ClientFrame) *Packet {
	p := filePacket(&protocol.ServerFrame{
		Type: f.Type, FileID: f.FileID, Topic: f.Topic, FileName: f.FileName, Meta: f.Meta, Hash: f.Hash,
		FileSize: f.FileSize, TotalChunks: f.TotalChunks,
	})
	switch f.Type {
	case protocol.TypeInitFile:
		p.file = fileBegins
	case protocol.TypeEndFile:
		p.file = fileEnds
	}
	return p
}

func sendProgress(p *filePeer, fileID []byte, receivers int, acked int64, done bool) bool {
	return p.socket.Send(LaneControl, filePacket(&protocol.ServerFrame{
		Type: protocol.TypeFileProgress, FileID: fileID, Receivers: receivers, Acked: acked, Done: done,
	}))
}

// sendFileError goes by the files' own lane: it must not overtake the init_file that it is about.
func sendFileError(p *filePeer, fileID []byte, code protocol.Code, why string) {
	p.errors.Count(string(code))
	p.socket.Send(LaneFile, filePacket(&protocol.ServerFrame{
		Type: protocol.TypeFileError, FileID: fileID, Code: code, Text: why,
	}))
}

func filePacket(f *protocol.ServerFrame) *Packet {
	return NewPacket(false, 160+len(f.FileName)+len(f.Meta)+len(f.Topic), f.Append)
}
