import 'dart:convert';
import 'dart:typed_data';

import 'crypto/bytes.dart';
import 'errors.dart';

/// The wire's bounds (docs/protocol.md, 10).
abstract final class Wire {
  static const maxPayload = 10 << 20;
  static const chunkSize = 64 << 10;
  static const fileWindow = 64;
  static const fileAckEvery = 16;
  static const maxOpenFiles = 16;
  static const maxInFlight = 256;
  static const senderAway = 60000; // ms
  static const receiverStall = 30000; // ms
}

/// What a session allows and does, as of the last login.
final class Limits {
  Limits._(ServerFrame f)
      : maxPayload = f._int('maxPayload') ?? Wire.maxPayload,
        maxInFlight = f._int('maxInFlight') ?? Wire.maxInFlight,
        chunkSize = f._int('chunkSize') ?? Wire.chunkSize,
        retryInterval = f._int('retryInterval') ?? 0,
        messageExpiryTime = f._int('messageExpiryTime') ?? 0;

  /// Bytes in a frame.
  final int maxPayload;

  /// Unacked messages out to one connection.
  final int maxInFlight;

  /// Bytes.
  final int chunkSize;

  /// ms
  final int retryInterval;

  /// ms
  final int messageExpiryTime;
}

/// A device that is registered for push. Its token never comes back.
final class RegisteredDevice {
  RegisteredDevice._(ServerFrame f)
      : deviceId = f._text('deviceId') ?? '',
        platform = f._text('platform') ?? '',
        createdAt = f._int('createdAt') ?? 0,
        updatedAt = f._int('updatedAt') ?? 0;

  final String deviceId;
  final String platform;

  /// ms since 1970
  final int createdAt;

  /// ms since 1970
  final int updatedAt;
}

/// A frame for the server, its `type` first.
typedef ClientFrame = Map<String, Object?>;

/// A frame of the server, of whichever type (docs/protocol.md, 4). A field of another type than it should be counts as absent.
final class ServerFrame {
  ServerFrame(this._fields);

  /// Null: it is none.
  static ServerFrame? parse(String data) {
    try {
      final fields = jsonDecode(data);
      return fields is Map<String, Object?> && fields['type'] is String ? ServerFrame(fields) : null;
    } on FormatException {
      return null;
    }
  }

  final Map<String, Object?> _fields;

  String? _text(String name) {
    final value = _fields[name];
    return value is String ? value : null;
  }

  int? _int(String name) {
    final value = _fields[name];
    return value is num && value.isFinite ? value.toInt() : null;
  }

  bool _is(String name) => _fields[name] == true;

  String get type => _text('type') ?? '';
  bool get success => _is('success');
  String? get code => _text('code');
  String? get error => _text('error');
  bool? get retryable => _fields.containsKey('retryable') ? _is('retryable') : null;
  String? get topic => _text('topic');
  String? get messageId => _text('messageId');
  String? get userId => _text('userId');
  String? get fileId => _text('fileId');
  String? get data => _text('data');
  String? get hash => _text('hash');
  int? get timestamp => _int('timestamp');
  int? get seq => _int('seq');
  int? get retry => _int('retry');
  bool get replay => _is('replay');
  int? get qos => _int('qos');
  int? get protocol => _int('protocol');
  String? get clientId => _text('clientId');
  bool get resumed => _is('resumed');
  int? get serverTime => _int('serverTime');
  String? get keyCheck => _text('keyCheck');
  String? get fileName => _text('fileName');
  int? get fileSize => _int('fileSize');
  int? get totalChunks => _int('totalChunks');
  String? get meta => _text('meta');
  int? get receivers => _int('receivers');
  int? get acked => _int('acked');
  bool get done => _is('done');
  int? get afterMs => _int('afterMs');

  List<String> get topics => switch (_fields['topics']) {
        final List<Object?> list => list.whereType<String>().toList(),
        _ => const [],
      };

  Limits? get limits => switch (_fields['limits']) {
        final Map<String, Object?> fields => Limits._(ServerFrame(fields)),
        _ => null,
      };

  List<RegisteredDevice> get devices => switch (_fields['devices']) {
        final List<Object?> list => [
            for (final fields in list.whereType<Map<String, Object?>>()) RegisteredDevice._(ServerFrame(fields)),
          ],
        _ => const [],
      };

  /// The error that the frame tells of.
  FastPortException refusal() => FastPortException(
        code ?? 'internal',
        error ?? code ?? 'the server gave no reason',
        retryable: retryable,
        topic: topic,
        messageId: messageId,
        fileId: fileId,
      );
}

const _chunk = 0x02;
const _chunkHeader = 1 + 36 + 4;

/// A chunk of a file, as it came.
final class Chunk {
  Chunk._(this.fileId, this.index, this.payload);

  /// A binary frame's chunk, or null. The payload shares the frame's memory.
  static Chunk? parse(Uint8List frame) {
    if (frame.length < _chunkHeader || frame[0] != _chunk) return null;
    final fileId = textOf(Uint8List.sublistView(frame, 1, 37));
    return Chunk._(fileId, ByteData.sublistView(frame).getUint32(37), Uint8List.sublistView(frame, _chunkHeader));
  }

  final String fileId;
  final int index;
  final Uint8List payload;
}

/// A binary frame of one chunk.
Uint8List chunkFrame(String fileId, int index, Uint8List payload) {
  final frame = Uint8List(_chunkHeader + payload.length);
  frame[0] = _chunk;
  frame.setAll(1, utf8.encode(fileId));
  ByteData.sublistView(frame).setUint32(37, index);
  frame.setAll(_chunkHeader, payload);
  return frame;
}

final _uuid = RegExp(r'^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$', caseSensitive: false);
final _control = RegExp('[\u0000-\u001f\u007f-\u009f]');

bool isUuid(String id) => _uuid.hasMatch(id);

/// A random UUID.
String newUuid() {
  final b = randomBytes(16);
  b[6] = b[6] & 0x0f | 0x40;
  b[8] = b[8] & 0x3f | 0x80;
  final h = hex(b);
  return '${h.substring(0, 8)}-${h.substring(8, 12)}-${h.substring(12, 16)}-${h.substring(16, 20)}-${h.substring(20)}';
}

/// Refuses what the server would refuse, before it takes up room.
void checkTopic(String topic) {
  checkText('topic', topic, 255);
  if (topic.startsWith(r'$')) {
    throw FastPortException('bad_request', r"topic: those with $ first are the server's own");
  }
}

/// As [checkTopic]; [most] counts bytes.
void checkText(String field, String value, int most) {
  final bytes = utf8.encode(value);
  if (value.isEmpty || bytes.length > most || _control.hasMatch(value) || textOf(bytes) != value) {
    throw FastPortException('bad_request', '$field: takes 1 to $most bytes of text without control characters');
  }
}
