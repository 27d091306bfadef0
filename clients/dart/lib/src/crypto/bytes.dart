// Bytes and their texts. Decoding is strict: every text stands for bytes in one way only, so that nothing is taken here that
// another SDK refuses.
import 'dart:convert';
import 'dart:math';
import 'dart:typed_data';

import 'package:crypto/crypto.dart' as digests;

Uint8List bytesOf(List<int> list) => list is Uint8List ? list : Uint8List.fromList(list);

Uint8List concat(Iterable<List<int>> parts) {
  final out = BytesBuilder(copy: false);
  for (final part in parts) {
    out.add(part);
  }
  return out.takeBytes();
}

Uint8List randomBytes(int n) {
  final random = Random.secure();
  return Uint8List.fromList([for (var i = 0; i < n; i++) random.nextInt(256)]);
}

/// The text of UTF-8, with U+FFFD for what is none. A byte order mark is text like any other; Dart's decoder drops it.
String textOf(Uint8List bytes) => _mark(bytes) + utf8.decode(bytes, allowMalformed: true);

/// Are the bytes UTF-8?
bool isText(Uint8List bytes) {
  try {
    utf8.decode(bytes);
    return true;
  } on FormatException {
    return false;
  }
}

String _mark(Uint8List b) => b.length >= 3 && b[0] == 0xef && b[1] == 0xbb && b[2] == 0xbf ? '\ufeff' : '';

String hex(List<int> bytes) => [for (final b in bytes) b.toRadixString(16).padLeft(2, '0')].join();

final _digits = RegExp(r'^(?:[0-9a-fA-F]{2})*$');

/// The bytes of hex digits, or null.
Uint8List? unhex(String text) {
  if (!_digits.hasMatch(text)) return null;
  return Uint8List.fromList([
    for (var i = 0; i < text.length; i += 2) int.parse(text.substring(i, i + 2), radix: 16),
  ]);
}

/// The bytes of base64, or null where the text is not what they would give: other characters, wrong padding, stray bits.
Uint8List? unbase64(String text) => _strictly(text, base64.encode, text);

String base64url(List<int> bytes) => base64Url.encode(bytes).replaceAll('=', '');

/// The bytes of unpadded base64url, or null, as [unbase64].
Uint8List? unbase64url(String text) => _strictly(text, base64url, text.padRight((text.length + 3) ~/ 4 * 4, '='));

// Dart's decoder takes both alphabets: what gives the same text again is right.
Uint8List? _strictly(String text, String Function(List<int>) encode, String padded) {
  try {
    final bytes = base64.decode(padded);
    return encode(bytes) == text ? bytes : null;
  } on FormatException {
    return null;
  }
}

/// The lower-case hex SHA-256 of a text: the `hash` of data as sent.
String hashOf(String text) => digests.sha256.convert(utf8.encode(text)).toString();

/// SHA-256 of what comes piece by piece.
class Sha256Sum implements Sink<digests.Digest> {
  late final ByteConversionSink _in = digests.sha256.startChunkedConversion(this);
  digests.Digest? _digest;

  void update(List<int> piece) => _in.add(piece);

  /// The digest as lower-case hex. Nothing may be added after it.
  String finish() {
    if (_digest == null) _in.close();
    return _digest.toString();
  }

  @override
  void add(digests.Digest data) => _digest = data;

  @override
  void close() {}
}
