import 'dart:convert';
import 'dart:typed_data';

import 'package:cryptography/cryptography.dart';

import '../errors.dart';
import 'aes.dart';
import 'bytes.dart';
import 'key.dart';
import 'keyring.dart';
import 'legacy.dart';
import 'message.dart';

// What the wire takes as metadata, in characters.
const _maxMeta = 8 << 10;
const _tag = 16;
final _metaNonce = Uint8List(12)..fillRange(0, 12, 0xff);

/// What describes a file to its receivers; suite 2 seals it, so that the server sees no name.
final class Meta {
  const Meta({required this.name, required this.size, this.type = '', this.sha256 = ''});

  /// Reads the sealed form's plaintext.
  factory Meta.parse(Uint8List plaintext) {
    Object? m;
    try {
      m = jsonDecode(textOf(plaintext));
    } on FormatException {
      throw malformed();
    }
    if (m case {'name': final String name, 'size': final int size} when size >= 0) {
      final fields = m as Map<String, Object?>;
      final type = fields['type'] ?? '', sha256 = fields['sha256'] ?? '';
      if (type is String && sha256 is String) return Meta(name: name, size: size, type: type, sha256: sha256);
    }
    throw malformed();
  }

  final String name;

  /// Bytes.
  final int size;

  /// Media type; empty where there is none.
  final String type;

  /// Of the plaintext, lower-case hex; empty where the sender could not know it.
  final String sha256;

  Uint8List get plaintext => utf8.encode(jsonEncode({
        'name': name,
        'size': size,
        if (type != '') 'type': type,
        if (sha256 != '') 'sha256': sha256,
      }));
}

/// Seals and opens the chunks of one file. A chunk's nonce is its index, so a fileId and an index must never be sealed again
/// with other content: a sender that goes back sends the same bytes again.
final class FileCipher {
  FileCipher._(this._key, {required this.legacy});

  /// The newest key's cipher of suite 2 for a file, or suite 1's, which is the same for all.
  static Future<FileCipher> of(KeyRing ring, String fileId, int suite) async =>
      suite == 1 ? FileCipher.suite1(ring) : await _of(ring, ring.newest, fileId);

  FileCipher.suite1(KeyRing ring) : this._(ring.newest.cbc, legacy: true);

  static Future<FileCipher> _of(KeyRing ring, RootKey root, String fileId) async {
    final id = unhex(fileId.replaceAll('-', ''));
    if (id == null || id.length != 16) throw malformed();
    return FileCipher._(await root.gcm(id, 'fastport/2/file/${ring.session}'), legacy: false);
  }

  /// Opens a file's sealed metadata with whichever key of the ring it was sealed with, and gives the cipher for the chunks.
  static Future<({FileCipher cipher, Meta meta})> open(KeyRing ring, String fileId, String sealed) async {
    final raw = sealed.length > _maxMeta ? null : unbase64url(sealed);
    if (raw == null || raw.length < _tag) throw malformed();
    for (final root in ring.keys) {
      final cipher = await _of(ring, root, fileId);
      final plaintext = await openGcm(cipher._key, _metaNonce, raw);
      if (plaintext != null) return (cipher: cipher, meta: Meta.parse(plaintext));
    }
    throw unauthentic();
  }

  final SecretKey _key;

  /// Suite 1, which binds a chunk neither to its file nor to its place.
  final bool legacy;

  /// [last] marks the file's last chunk, so that a cut file does not open.
  Future<Uint8List> seal(int index, Uint8List plaintext, {required bool last}) =>
      legacy ? sealChunk(_key, plaintext) : sealGcm(_key, chunkNonce(index, last: last), plaintext);

  /// It is `authentication` for another file's chunk, another index or a wrong [last].
  Future<Uint8List> unseal(int index, Uint8List payload, {required bool last}) async {
    if (legacy) return openChunk(_key, payload);
    if (payload.length < _tag) throw malformed();
    final plaintext = await openGcm(_key, chunkNonce(index, last: last), payload);
    if (plaintext == null) throw unauthentic();
    return plaintext;
  }

  /// The `meta` of init_file. Once a file: sealed again, it must be of the same content.
  Future<String> sealMeta(Meta meta) async {
    final sealed = base64url(await sealGcm(_key, _metaNonce, meta.plaintext));
    if (sealed.length > _maxMeta) {
      throw FastPortException('bad_request', 'file: its name and type are too long');
    }
    return sealed;
  }
}

/// The index in 11 bytes and the last flag in one; the metadata's nonce ends in neither 0 nor 1.
Uint8List chunkNonce(int index, {required bool last}) {
  final nonce = Uint8List(12);
  ByteData.sublistView(nonce).setUint32(7, index);
  nonce[11] = last ? 1 : 0;
  return nonce;
}
