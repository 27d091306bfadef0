/// Every error of this package. [code] says what happened and stays the same over versions; [message] is for people.
/// It never holds content or secrets.
///
/// The server's codes are those of docs/protocol.md, 5 (`unauthorized`, `key_mismatch`, `too_large`, `unavailable`, ...).
/// The client's own:
///
/// | code | means |
/// |---|---|
/// | `bad_option` | an option or argument is wrong |
/// | `cancelled` | the call was given up by its `cancel` |
/// | `closed` | the client was closed |
/// | `taken_over` | a newer connection uses this clientId; this client has ended |
/// | `disconnected` | the connection was lost; [closeCode] says how the server closed it, where it did |
/// | `lost` | the connection was lost after something that is sent once only had gone out |
/// | `no_answer` | the server did not answer in time |
/// | `queue_full` | as much is published and not acked as may be |
/// | `duplicate` | a message of this topic and id is being published already |
/// | `subscribed` | the topic has a handler already |
/// | `handler_failed` | a handler threw; the message stays unacked and comes again |
/// | `legacy_refused` | suite 1 came, and `allowLegacy` is not set |
/// | `malformed`, `authentication`, `unknown_key`, `replayed` | a message that does not open, and why |
/// | `weak_key` | a key that anyone would guess |
/// | `stalled` | a file made no progress for too long |
/// | `corrupt` | a file is not as it was sent |
/// | `source_changed` | a file changed while it was sent |
/// | `declined` | a file was not wanted here |
/// | `unsupported` | this platform or server lacks what is needed |
class FastPortException implements Exception {
  FastPortException(
    this.code,
    this.message, {
    this.cause,
    bool? retryable,
    this.closeCode,
    this.topic,
    this.messageId,
    this.fileId,
    this.fileName,
  }) : retryable = retryable ?? _retryable.contains(code);

  final String code;
  final String message;

  /// What lies beneath.
  final Object? cause;

  /// The same again, later, may succeed.
  final bool retryable;

  /// How the server closed the connection.
  final int? closeCode;
  final String? topic;
  final String? messageId;
  final String? fileId;
  final String? fileName;

  static const _retryable = {'unavailable', 'rate_limited', 'internal', 'quota_exceeded'};

  @override
  String toString() => 'FastPortException($code): $message';
}

/// How the server ends a connection.
abstract final class CloseCode {
  static const protocolError = 4000;
  static const takenOver = 4001;
  static const sessionGone = 4003;
  static const notAuthenticated = 4004;
  static const rateLimited = 4029;
  static const draining = 1012;
}

/// Is it an error of this code?
bool isCode(Object? err, String code) => err is FastPortException && err.code == code;

/// Can trying again not help? Then the error ends the client.
bool isFatal(Object err) {
  if (err is! FastPortException) return false;
  switch (err.code) {
    case 'disconnected':
      return err.closeCode == CloseCode.takenOver ||
          err.closeCode == CloseCode.sessionGone ||
          err.closeCode == CloseCode.notAuthenticated;
    case 'no_answer':
      return false;
  }
  return !err.retryable;
}

/// What is to be said of anything that was thrown.
String reasonOf(Object err) => err is FastPortException ? err.message : '$err';

FastPortException closedError() => FastPortException('closed', 'the client was closed');
