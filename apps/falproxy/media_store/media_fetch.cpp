#include "media_store/media_fetch.hpp"

#include <algorithm>
#include <charconv>
#include <memory>
#include <utility>

#include "base/fmt.hpp"
#include "falproxy/media.hpp"
#include "falproxy/transport.hpp"
#include "media_store/media_names.hpp"

namespace falproxy::app {
namespace {

using End = FetchedMedia::End;

// Enough to tell what a file is.
constexpr std::size_t looked_at = 4096;

std::uint64_t length_of(const HttpHead& head) {
  const std::string_view text = head.headers.find("content-length").value_or("");
  std::uint64_t length = 0;
  std::from_chars(text.data(), text.data() + text.size(), length);
  return length;
}

// Takes what comes, and ends it if the store does not.
class StoreSink final : public ResponseSink {
 public:
  StoreSink(MediaStore& store, const MediaRecord& record, std::uint64_t most, StoreWait wait)
      : store_(store), record_(record), most_(most), wait_(std::move(wait)) {}

  bool head(HttpHead head) override {
    status_ = head.status;
    if (status_ != 200) return false;
    if (record_.content_type.empty())
      said_ = plain_type(head.headers.find("content-type").value_or(""));
    return has_room(length_of(head)) && begin();
  }

  bool data(std::string_view bytes) override {
    first_.append(bytes.substr(0, looked_at - std::min(first_.size(), looked_at)));
    size_ += bytes.size();
    return has_room(size_) && holds(writer_->write(bytes));
  }

  [[nodiscard]] FetchedMedia end(const Result<Done>& came) {
    if (came && status_ == 200 && failed_.empty() && !too_large_) {
      const std::string known = record_.content_type.empty() ? said_ : record_.content_type;
      std::string type = type_of_bytes(first_, known);
      if (size_ == 0) return {.end = End::source, .why = "the file is empty"};
      if (holds(writer_->finish(type)))
        return {.end = End::kept, .size = size_, .type = std::move(type)};
    }
    if (too_large_) return {.end = End::too_large, .why = "there is no room for so large a file"};
    if (!failed_.empty()) return {.end = End::store, .why = failed_};
    if (status_ == 404 || status_ == 403 || status_ == 410)
      return {.end = End::gone, .why = fmt::format("its address answers {}", status_)};
    if (status_ != 0 && status_ != 200)
      return {.end = End::source, .why = fmt::format("its address answers {}", status_)};
    const bool untrusted = !came && came.error().kind == ErrorKind::upstream_untrusted_url;
    return {.end = untrusted ? End::gone : End::source,
            .why = came ? "nothing came" : came.error().message};
  }

 private:
  bool has_room(std::uint64_t bytes) {
    too_large_ = bytes > most_;
    return !too_large_;
  }
  bool begin() {
    if (writer_ != nullptr) return true;
    Result<std::unique_ptr<MediaWriter>> begun = store_.begin(name_of_file(record_), wait_);
    if (!begun) {
      failed_ = begun.error().message;
      return false;
    }
    writer_ = *std::move(begun);
    return true;
  }
  bool holds(const Result<Done>& step) {
    if (!step) failed_ = step.error().message;
    return step.has_value();
  }

  MediaStore& store_;
  const MediaRecord& record_;
  const std::uint64_t most_;
  const StoreWait wait_;
  std::unique_ptr<MediaWriter> writer_;
  std::string first_, said_, failed_;
  std::uint64_t size_ = 0;
  int status_ = 0;
  bool too_large_ = false;
};

}  // namespace

std::string name_of_file(const MediaRecord& record) {
  return fmt::format("{}.{}", record.id.to_string(), record.extension);
}

// A container that may hold sounds or videos holds a video if that is known.
std::string type_of_bytes(std::string_view first, std::string known) {
  constexpr std::string_view unknown = "application/octet-stream", sound = "audio/";
  const std::string_view seen = media::mime_type(first);
  if (seen.starts_with(sound) && known.starts_with("video/"))
    return known == "video/quicktime" ? known : "video/" + std::string(seen.substr(sound.size()));
  if (seen != unknown) return std::string(seen);
  return known.empty() ? std::string(unknown) : std::move(known);
}

FetchedMedia fetch_into(Runner& runner, MediaStore& store, const MediaRecord& record,
                        std::uint64_t most_bytes, const StoreWait& wait) {
  StoreSink sink(store, record, most_bytes, wait);
  return sink.end(
      runner.pass_on(record.source, "", {.deadline = wait.deadline, .stop = wait.stop}, sink));
}

FetchedMedia put_into(MediaStore& store, const MediaRecord& record, std::string_view bytes,
                      std::uint64_t most_bytes, const StoreWait& wait) {
  StoreSink sink(store, record, most_bytes, wait);
  const bool taken = sink.head({.status = 200}) && sink.data(bytes);
  return sink.end(taken ? Result<Done>(Done{}) : Error{.kind = ErrorKind::internal, .message = {}});
}

}  // namespace falproxy::app
