// media_store.hpp: where the bytes of kept files lie, as an interface. What is known of them stands
// in a MediaIndex; who puts them there, and who may have them, is MediaKeeper's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "falproxy/clock.hpp"
#include "falproxy/result.hpp"

namespace falproxy::app {

/// A file on its way into a store. Nobody sees it before finish(); what is destroyed before is
/// gone. All of it is one fiber's.
class MediaWriter {
 public:
  virtual ~MediaWriter() = default;
  /// Errors: of the store; see MediaStore.
  [[nodiscard]] virtual Result<Done> write(std::string_view bytes) = 0;
  /// It is whole, and there from now on. `type`: of its bytes.
  [[nodiscard]] virtual Result<Done> finish(const std::string& type) = 0;
};

/// An open file. Another that takes its name, or its end, does not change it. One fiber's.
class MediaReader {
 public:
  virtual ~MediaReader() = default;
  [[nodiscard]] virtual std::uint64_t size() const noexcept = 0;
  /// At most `most` bytes from there on. Empty: it cannot be read, or ends there.
  [[nodiscard]] virtual std::string read(std::uint64_t from, std::size_t most) = 0;
};

/// Until when, and until what, somebody waits for a store.
struct StoreWait {
  TimePoint deadline = no_deadline;
  std::stop_token stop = {};
};

/// Names are unique, and of letters, digits and one dot. Called on fibers; what blocks is done off
/// them. Thread-safe. Errors of all: unavailable stores are `internal`, with the reason in one
/// sentence for the operator.
class MediaStore {
 public:
  virtual ~MediaStore() = default;
  [[nodiscard]] virtual Result<std::unique_ptr<MediaWriter>> begin(const std::string& name,
                                                                   const StoreWait& wait) = 0;
  /// Null: there is no such file. It may also be that files are not read here: see link().
  [[nodiscard]] virtual std::unique_ptr<MediaReader> open(const std::string& name) = 0;
  /// Where a client fetches it itself, for so long. None: here alone. `method`: GET or HEAD.
  [[nodiscard]] virtual std::optional<std::string> link(const std::string& name,
                                                        std::string_view method,
                                                        Seconds lifetime) const = 0;
  /// A file that is not there is a success.
  [[nodiscard]] virtual Result<Done> remove(const std::string& name, const StoreWait& wait) = 0;
  /// Whether files can be put there now: puts one, and takes it away.
  [[nodiscard]] virtual Result<Done> probe(const StoreWait& wait) = 0;
  /// For the operator: where it is. Holds no key.
  [[nodiscard]] virtual std::string place() const = 0;
};

}  // namespace falproxy::app
