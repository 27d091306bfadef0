/// fastPort for Dart and Flutter: sealed messages and files between devices, over one connection that mends itself.
library fastport_client;

export 'src/client.dart' show FastPort;
export 'src/crypto/key.dart' show generateKey;
export 'src/errors.dart' show FastPortException;
export 'src/files/progress.dart' show FileProgress;
export 'src/files/offer.dart' show FileOffer;
export 'src/files/sinks.dart' show FileSave, FileSink, toDirectory, toMemory;
export 'src/files/source.dart' show FileSource;
export 'src/frames.dart' show Limits, RegisteredDevice;
export 'src/message.dart' show Message;
export 'src/outbox.dart' show Receipt;
export 'src/session.dart' show FcmConfig, Session, createSession, dropSession, suspendSession;
export 'src/state.dart' show FastPortState;
