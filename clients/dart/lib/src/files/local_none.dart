import '../errors.dart';
import 'sinks.dart';
import 'source.dart';

/// What the server is told that this device runs.
const platformName = 'web';

/// A file by its path.
Future<FileSource> openPath(String path) async =>
    throw FastPortException('unsupported', 'file: a path cannot be read here; send bytes or a FileSource');

Future<FileSink<String>> openDirectorySink(String path, String name, {required bool overwrite}) async =>
    throw FastPortException('unsupported', 'file: there are no directories here');
