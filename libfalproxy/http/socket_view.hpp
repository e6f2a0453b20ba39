// socket_view.hpp: a socket as its connection and TLS share it.
#pragma once

#include <cerrno>
#include <cstddef>

namespace falproxy::inline v0 {

/// A socket that does not block, and what became of the calls on it.
struct SocketView {
  int socket = -1;
  std::size_t sent_bytes = 0;
  /// What one call of OpenSSL may still read. It reads on by itself as long as a peer sends what is
  /// no data (session tickets, say), and must come back to whoever asks the clock.
  std::size_t turn = 0;
  int shortage = 0;        ///< errno of the last call that the machine had no memory for; 0: none
  bool must_rest = false;  ///< before the next wait, for that reason

  /// Whether a call that failed with `error` is to be made again. Notes a shortage.
  [[nodiscard]] bool passes(int error) noexcept {
    if (error == ENOBUFS || error == ENOMEM) {
      shortage = error;
      must_rest = true;
      return true;
    }
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
  }
};

}  // namespace falproxy::inline v0
