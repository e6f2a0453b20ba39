#include "thumbnails.hpp"

#include <algorithm>
#include <utility>

#include "base/fmt.hpp"
#include "falproxy/transport.hpp"

namespace falproxy::app {
namespace {

Error no_thumbnail(std::string_view why) {
  return {.kind = ErrorKind::download_failed,
          .message = fmt::format("The model's sample picture cannot be had: {}.", why)};
}

class PictureSink final : public ResponseSink {
 public:
  explicit PictureSink(MemoryBudget& memory) : bytes_(&memory) {}

  bool head(HttpHead head) override {
    status_ = head.status;
    return status_ == 200;
  }
  bool data(std::string_view more) override {
    too_large_ = more.size() > Thumbnails::most_bytes - bytes_.text().size();
    if (too_large_) return false;
    has_memory_ = bytes_.append(more);
    return has_memory_;
  }

  [[nodiscard]] Result<Thumbnail> picture(const Result<Done>& came) {
    if (!has_memory_) return no_memory_left();
    if (too_large_)
      return no_thumbnail(fmt::format("it has more than {} bytes", Thumbnails::most_bytes));
    if (status_ != 0 && status_ != 200)
      return no_thumbnail(fmt::format("its address answers {}", status_));
    if (!came) return came.error();
    // An SVG may hold a script.
    const auto type = media::sniff(bytes_.text());
    if (!type || *type == media::ImageType::svg || !media::is_whole(bytes_.text()))
      return no_thumbnail("its address gives no whole picture");
    return Thumbnail{*type, bytes_.take()};
  }

 private:
  CountedText bytes_;
  int status_ = 0;
  bool too_large_ = false;
  bool has_memory_ = true;
};

}  // namespace

// The right to fetch one picture. Its end wakes those who wait, whatever was thrown.
class Thumbnails::Turn {
 public:
  Turn(Thumbnails& all, const std::string& url) : all_(all), url_(url) {  // the lock is held
    all_.entries_[url_].busy = true;
    ++all_.fetching_;
  }
  ~Turn() {
    std::unique_lock lock(all_.mutex_);
    --all_.fetching_;
    const auto entry = all_.entries_.find(url_);
    entry->second.busy = false;
    if (!entry->second.came) all_.entries_.erase(entry);
    Bell::Ring ring = all_.changed_.take();
    lock.unlock();
    ring();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  Thumbnails& all_;
  const std::string& url_;
};

Result<Thumbnail> Thumbnails::get(const std::string& url, const CallContext& context) {
  std::unique_lock lock(mutex_);
  while (true) {
    const TimePoint now = clock_.now();
    const auto known = entries_.find(url);
    const bool busy = known != entries_.end() && known->second.busy;
    if (known != entries_.end() && known->second.came && now < known->second.until) {
      known->second.used = ++asked_;
      return *known->second.came;
    }
    if (context.stop.stop_requested())
      return Error{.kind = ErrorKind::cancelled, .message = "The request was cancelled."};
    if (now >= context.deadline) {
      return Error{.kind = ErrorKind::timed_out,
                   .message = "The model's sample picture did not come in time."};
    }
    if (!busy && fetching_ < most_at_once) break;
    changed_.wait(lock, clock_, context.deadline, context.stop);
  }
  const Turn turn(*this, url);
  lock.unlock();
  Result<Thumbnail> came = fetch(url, context);
  // That a client left, or that memory was short, says nothing of the picture, and is not
  // remembered.
  const bool says_nothing =
      !came && (context.stop.stop_requested() || came.error().kind == ErrorKind::overloaded);
  if (says_nothing) return came;
  const std::lock_guard keeping(mutex_);
  keep(url, came);
  return came;
}

Result<Thumbnail> Thumbnails::fetch(const std::string& url, const CallContext& context) {
  PictureSink sink(memory_);
  return sink.picture(
      runner_.pass_on(url, "", {.deadline = context.deadline, .stop = context.stop}, sink));
}

void Thumbnails::keep(const std::string& url, const Result<Thumbnail>& came) {
  Entry& entry = entries_.at(url);
  if (entry.came && *entry.came) bytes_ -= (**entry.came).bytes->size();
  entry.came = came;
  entry.until = clock_.now() + (came ? kept_for : failed_for);
  entry.used = ++asked_;
  if (came) bytes_ += came->bytes->size();
  while (bytes_ > most_kept_bytes || entries_.size() > most_kept) {
    const auto oldest = std::ranges::min_element(entries_, {}, [](const Entries::value_type& one) {
      return std::pair(one.second.busy, one.second.used);
    });
    if (oldest->second.busy) return;
    drop(oldest);
  }
}

void Thumbnails::drop(Entries::iterator entry) {
  if (*entry->second.came) bytes_ -= (**entry->second.came).bytes->size();
  entries_.erase(entry);
}

}  // namespace falproxy::app
