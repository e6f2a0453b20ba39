// recorded.hpp: exchanges with fal kept in a file, and played back without a network. Of
// falproxy::testing.
//
//   falproxy::testing::RecordingTransport recording(real, codecs, "exchanges.jsonl");  // once
//   falproxy::testing::ReplayTransport replay(codecs, "exchanges.jsonl");              // in tests
//
// The file has one JSON object on a line: method and address of a request, and its answer. Headers
// and bodies of requests are left out, since headers hold keys.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "falproxy/codecs.hpp"
#include "falproxy/json.hpp"
#include "falproxy/transport.hpp"

namespace falproxy::inline v0::testing {

/// Passes requests on. It adds an exchange to the file once the answer is whole, or once its
/// receiver has asked to end it. Thread-safe.
class RecordingTransport final : public Transport {
 public:
  /// `inner` and `codecs` outlive it. What is in the file stays there.
  RecordingTransport(Transport& inner, const Codecs& codecs, const std::string& path);
  ~RecordingTransport() override;

  /// The file can be written, as far as it was tried.
  [[nodiscard]] bool is_good() const;
  [[nodiscard]] Result<Done, TransportError> send(const HttpRequest& request, TimePoint deadline,
                                                  std::stop_token stop,
                                                  ResponseSink& sink) override;

 private:
  struct File;
  Transport& inner_;
  const Codecs& codecs_;
  std::unique_ptr<File> file_;
};

/// Answers as it was recorded: requests of one method and address get their answers in the order of
/// the file, and the last of them for ever. Any other request fails as `unreachable`, with nothing
/// sent. Thread-safe.
class ReplayTransport final : public Transport {
 public:
  /// `codecs` outlives it. Lines that are no recording are passed over.
  ReplayTransport(const Codecs& codecs, const std::string& path);

  /// Exchanges in the file.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] Result<Done, TransportError> send(const HttpRequest& request, TimePoint deadline,
                                                  std::stop_token stop,
                                                  ResponseSink& sink) override;

 private:
  struct Answers {
    std::vector<Json> exchanges;
    std::size_t next = 0;
  };

  const Codecs& codecs_;
  std::size_t size_ = 0;
  std::mutex mutex_;
  std::map<std::string, Answers> answers_;
};

}  // namespace falproxy::inline v0::testing
