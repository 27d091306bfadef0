import 'dart:convert';
import 'dart:typed_data';

import '../crypto/bytes.dart';

/// How many numbers are tried.
const maxNumber = 10000;

// The longest name that file systems take, in bytes, less what numbered adds.
const _maxName = 255 - ' (9999)'.length;
// Neither for people nor for file systems: controls, formats such as those that turn the direction of a text, and what Windows refuses.
final _unfit = RegExp(r'[\p{Cc}\p{Cf}<>:"|?*\ufffd]', unicode: true);
final _edges = RegExp(r'^[. ]+|[. ]+$');
// Windows gives these to devices, whatever their extension.
final _devices = RegExp(r'^(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?$', caseSensitive: false);

/// A name of one path element of what a stranger chose: neither hidden nor a path, on any system.
String safeName(String name) {
  var safe = name.substring(name.lastIndexOf(RegExp(r'[/\\]')) + 1);
  safe = textOf(utf8.encode(safe)).replaceAll(_unfit, '_').replaceAll(_edges, '');
  final bytes = utf8.encode(safe);
  if (bytes.length > _maxName) {
    final (_, ext) = _split(safe);
    final keep = utf8.encode(ext).length > 16 ? '' : ext;
    final cut = Uint8List.sublistView(bytes, 0, _maxName - utf8.encode(keep).length);
    safe = textOf(cut).replaceAll(RegExp('\ufffd+\$'), '') + keep;
  }
  return safe.isEmpty || _devices.hasMatch(safe) ? 'file' : safe;
}

/// The name, or the name with a number before its extension.
String numbered(String name, int n) {
  if (n == 0) return name;
  final (stem, ext) = _split(name);
  return '$stem ($n)$ext';
}

(String, String) _split(String name) {
  final dot = name.lastIndexOf('.');
  return dot <= 0 ? (name, '') : (name.substring(0, dot), name.substring(dot));
}
