#include "media_store/media_keeper.hpp"

#include <algorithm>
#include <utility>

#include "base/fmt.hpp"
#include "falproxy/media.hpp"
#include "media_store/keeper_impl.hpp"
#include "media_store/media_names.hpp"

namespace falproxy::app {
namespace {

constexpr const char* secret_name = "media_links";
constexpr Seconds longest_link{10};
constexpr std::chrono::hours link_life{24 * 7};  // as long as fal can sign one for
constexpr int ticks_between_cleanings = 12;

// The text at the front of a product's content, without a copy of a long one.
std::string_view front_of(const Product& product) {
  return product.content.empty() ? std::string_view() : product.content.pieces().front().bytes;
}

}  // namespace

void MediaKeeper::Impl::tell(const std::string& why) {
  {
    const std::lock_guard guard(mutex);
    if (trouble == why) return;
    if (!trouble.empty() && !why.empty()) return;  // told already that it fails
    trouble = why;
  }
  if (why.empty()) return parts.log(LogLevel::info, "MEDIA_STORE: files are kept");
  parts.log(
      LogLevel::error,
      fmt::format("MEDIA_STORE: {}. Until that is mended answers have fal's own addresses.", why));
}

// False: it is not there yet.
bool MediaKeeper::Impl::prepare(const std::stop_token& stop) {
  if (parts.index == nullptr) {
    tell("files are noted in STATE_DIR, which cannot be used");
    return false;
  }
  while (!stop.stop_requested()) {
    const Handed<Result<std::string, StoreError>> got;
    parts.texts.get(secret_name, soon(), got.callback());
    const auto text = got.wait(parts.clock, soon());
    std::string secret = text && *text ? **text : std::string();
    if (text && *text && secret.empty()) {
      // Of several processes one draws it.
      const Handed<Result<KeptText, StoreError>> put;
      parts.texts.put_first(secret_name, new_media_secret(), soon(), put.callback());
      if (const auto there = put.wait(parts.clock, soon()); there && *there)
        secret = (*there)->text;
    }
    if (!secret.empty()) {
      const std::lock_guard guard(mutex);
      links = std::make_shared<const MediaLinks>(parts.codecs, std::move(secret), place);
      return true;
    }
    tell("STATE_DIR cannot be read");
    be_ready();
    parts.clock.sleep_until(parts.clock.now() + keeper_tick, stop);
  }
  return false;
}

void MediaKeeper::Impl::try_store(const std::stop_token& stop) {
  std::shared_ptr<MediaStore> tried;
  {
    const std::lock_guard guard(mutex);
    tried = store;
  }
  if (tried == nullptr) {
    Result<std::shared_ptr<MediaStore>> made = parts.make_store();
    if (!made) return tell(made.error().message);
    tried = *std::move(made);
    const std::lock_guard guard(mutex);
    store = tried;
  }
  const Result<Done> works =
      tried->probe({.deadline = parts.clock.now() + longest_probe, .stop = stop});
  if (stop.stop_requested()) return;
  if (!works) return tell(works.error().message);
  {
    const std::lock_guard guard(mutex);
    if (index_fails) return;
  }
  tell("");
}

// Why nothing can be kept now, for a client; empty: it can.
std::string MediaKeeper::Impl::refusal() {
  wait_until_ready();
  const std::lock_guard guard(mutex);
  if (links == nullptr || store == nullptr || !trouble.empty())
    return "the address is fal's own: the server cannot keep files now";
  if (queue.size() >= most_waiting)
    return "the address is fal's own: too many files wait to be kept";
  return "";
}

MediaRecord MediaKeeper::Impl::record_of(const Product& product, const MediaOccasion& occasion,
                                         std::size_t products) const {
  MediaRecord record{.owner = occasion.client,
                     .created = parts.clock.wall_now(),
                     .content_type = type_of_product(product),
                     .model = occasion.model,
                     .request_id = occasion.request_id,
                     .run = occasion.run,
                     .fal_request_id = product.fal_request_id,
                     .prompt = occasion.prompt};
  record.extension = extension_of(product, record.content_type);
  if (place.ttl.count() > 0) record.expires = record.created + place.ttl;
  if (occasion.cost.has_value())
    record.cost = Usd{occasion.cost->nano / static_cast<std::int64_t>(products)};
  return record;
}

std::optional<MediaRecord> MediaKeeper::Impl::begin(const Product& product, MediaRecord record,
                                                    const MediaOccasion& occasion) {
  record.source = product.content.str();
  record.id = links->id_of(occasion.client, record.source);
  if (occasion.is_repeat && find_live(record.id) == nullptr) {
    const auto before = look_up({.id = record.id});
    if (before && !before->empty()) return before->front();
  }
  const auto one = std::make_shared<Live>(Live{.record = record});
  const LivePtr known = enter(one);
  if (known != one) {
    const std::lock_guard guard(mutex);
    return known->record;
  }
  note(one);
  enqueue(one);
  return record;
}

// What stands in the answer itself is nowhere else: it is kept before the answer goes out.
std::optional<MediaRecord> MediaKeeper::Impl::put_data(const Product& product, MediaRecord record,
                                                       const MediaOccasion& occasion) {
  const std::string text = product.content.str();
  const std::optional<media::DataUri> data = media::parse_data_uri(text);
  std::optional<std::string> bytes;
  if (data.has_value())
    parts.executor.run_blocking([&] { bytes = parts.codecs.decode_base64(data->base64); });
  if (!bytes.has_value()) return std::nullopt;
  std::shared_ptr<MediaStore> to;
  {
    const std::lock_guard guard(mutex);
    to = store;
  }
  record.id = links->id_of(occasion.client, text);
  const auto is_kept = [](const MediaRecord& known) { return known.state == MediaState::kept; };
  if (const LivePtr known = find_live(record.id)) {
    const std::lock_guard guard(mutex);
    if (is_kept(known->record)) return known->record;
  }
  const auto before = look_up({.id = record.id});
  if (before && !before->empty()) {
    const bool is_deleted = before->front().state == MediaState::deleted;
    if (is_kept(before->front()) || (is_deleted && occasion.is_repeat)) return before->front();
    // It was made anew, and is the same.
    if (is_deleted) parts.index->forget(record.id, soon(), [](const Result<Done, StoreError>&) {});
  }
  const FetchedMedia put = put_into(*to, record, *bytes, most_bytes(record.owner),
                                    {.deadline = parts.clock.now() + longest_probe});
  if (put.end != FetchedMedia::End::kept) {
    if (put.end == FetchedMedia::End::store) tell(put.why);
    return std::nullopt;
  }
  const auto one = std::make_shared<Live>(Live{.record = std::move(record)});
  const LivePtr known = enter(one);
  if (known == one) settle(one, put, *to);
  const std::lock_guard guard(mutex);
  return known->record;
}

MediaKeeper::MediaKeeper(Parts parts, MediaPlace place)
    : impl_(std::make_shared<Impl>(std::move(parts), std::move(place))) {}
MediaKeeper::~MediaKeeper() = default;

void MediaKeeper::run(const std::stop_token& stop) {
  Impl& impl = *impl_;
  const bool there = impl.prepare(stop);
  if (there) impl.try_store(stop);
  impl.be_ready();
  bool is_left = false;
  for (int ticks = 0; there && !stop.stop_requested(); ++ticks) {
    impl.note_again();
    impl.remove_unwanted();
    if (!status().trouble.empty()) impl.try_store(stop);
    impl.take_waiting();
    if (is_left || ticks % ticks_between_cleanings == 0) is_left = impl.clean();
    impl.parts.clock.sleep_until(impl.parts.clock.now() + keeper_tick, stop);
  }
}

// fal's address, as far as it opens.
std::string MediaKeeper::Impl::open_link(const std::string& source, TimePoint until,
                                         const std::stop_token& stop) {
  if (!place.is_private() || parts.clock.now() >= until) return source;
  return parts.runner.link_to(source, link_life, {.deadline = until, .stop = stop})
      .value_or(source);
}

void MediaKeeper::keep(std::vector<Product>& products, const MediaOccasion& occasion,
                       std::vector<plan::Note>& notes) {
  std::string why = impl_->refusal();
  const WallTime now = impl_->parts.clock.wall_now();
  const TimePoint until = impl_->parts.clock.now() + longest_link;
  std::string told;
  for (Product& product : products) {
    const std::string_view front = front_of(product);
    const bool is_data = front.starts_with("data:");
    if (!product.is_address || !(is_data || front.starts_with("http"))) continue;
    std::optional<MediaRecord> record;
    if (why.empty()) {
      MediaRecord made = impl_->record_of(product, occasion, products.size());
      record = is_data ? impl_->put_data(product, std::move(made), occasion)
                       : impl_->begin(product, std::move(made), occasion);
      // A store that failed by this one is not waited for again.
      if (!record) why = impl_->refusal();
    }
    if (record && record->state == MediaState::deleted) {
      told = "the file was deleted, and is not kept again";
      if (is_data) continue;
    }
    if (record && !occasion.origin.empty()) {
      product.content = Body(impl_->links->address(*record, occasion.origin, now));
      continue;
    }
    if (record && record->state == MediaState::deleted) continue;
    if (record) {
      told = "the address is fal's own: the request names no host, and PUBLIC_URL is not set";
    } else {
      told = why.empty() ? "the file stands in the answer: the server cannot keep it" : why;
    }
    if (!is_data && occasion.is_answer)
      product.content = Body(impl_->open_link(product.content.str(), until, {}));
  }
  if (!told.empty()) notes.push_back({"url", std::move(told)});
}

bool MediaKeeper::show(std::vector<Product>& products, const std::string& client,
                       const std::string& origin, const std::stop_token& stop) {
  const std::shared_ptr<const MediaLinks> known = links();
  const TimePoint until = impl_->parts.clock.now() + longest_link;
  bool is_known = known != nullptr;
  for (Product& product : products) {
    if (!product.is_address || !front_of(product).starts_with("http")) continue;
    const std::string source = product.content.str();
    std::optional<MediaRecord> record;
    if (is_known && !origin.empty()) {
      Result<std::optional<MediaRecord>> found = impl_->known(known->id_of(client, source));
      is_known = found.has_value();
      if (found) record = *std::move(found);
    }
    // Of what is lost, its own address leads to one of fal's that opens.
    if (record && (record->state != MediaState::lost || place().is_private())) {
      product.content = Body(known->address(*record, origin, impl_->parts.clock.wall_now()));
    } else {
      product.content = Body(impl_->open_link(source, until, stop));
    }
  }
  return is_known;
}

Result<std::optional<MediaRecord>> MediaKeeper::Impl::known(const RunId& id,
                                                            const std::string& owner) {
  {
    const std::lock_guard guard(mutex);
    if (const auto found = live.find(id); found != live.end()) {
      if (!owner.empty() && found->second->record.owner != owner)
        return std::optional<MediaRecord>();
      return std::optional(found->second->record);
    }
  }
  Result<std::vector<MediaRecord>> found = look_up({.id = id, .owner = owner});
  if (!found) return std::move(found).error();
  return found->empty() ? std::optional<MediaRecord>() : std::optional(std::move(found->front()));
}

Result<std::optional<MediaRecord>> MediaKeeper::find(const RunId& id, const std::string& owner) {
  Result<std::optional<MediaRecord>> found = impl_->known(id, owner);
  if (found && *found && (*found)->state == MediaState::deleted)
    return std::optional<MediaRecord>();
  return found;
}

std::optional<MediaRecord> MediaKeeper::find_source(const std::string& client,
                                                    const std::string& source) {
  const std::shared_ptr<const MediaLinks> known = links();
  if (known == nullptr) return std::nullopt;
  Result<std::optional<MediaRecord>> found = impl_->known(known->id_of(client, source));
  return found ? *std::move(found) : std::nullopt;
}

Result<std::optional<MediaRecord>> MediaKeeper::find_settled(const RunId& id, TimePoint until,
                                                             const std::stop_token& stop) {
  {
    Impl::Guard guard(impl_->mutex);
    const auto is_under_way = [&] {
      const auto found = impl_->live.find(id);
      return found != impl_->live.end() && !found->second->is_over &&
             found->second->record.state == MediaState::waiting;
    };
    Clock& clock = impl_->parts.clock;
    while (is_under_way() && clock.now() < until && !stop.stop_requested())
      impl_->changed.wait(guard, clock, until, stop);
  }
  return find(id);
}

Result<std::vector<MediaRecord>> MediaKeeper::list(const std::string& owner, std::size_t limit,
                                                   std::optional<RunId> after) {
  {
    // What was answered just now is there within a blink.
    Impl::Guard guard(impl_->mutex);
    Clock& clock = impl_->parts.clock;
    const TimePoint until = clock.now() + Seconds(1);
    const auto is_behind = [&] {
      return std::ranges::any_of(impl_->live, [&](const auto& entry) {
        return !entry.second->is_noted && entry.second->record.owner == owner;
      });
    };
    while (is_behind() && clock.now() < until) impl_->changed.wait(guard, clock, until, {});
  }
  Result<std::vector<MediaRecord>> found =
      impl_->look_up({.by = MediaQuery::By::owner, .owner = owner, .after = after, .limit = limit});
  if (!found) return found;
  const std::lock_guard guard(impl_->mutex);
  for (MediaRecord& record : *found) {
    const auto live = impl_->live.find(record.id);
    if (live != impl_->live.end()) record = live->second->record;
  }
  return found;
}

Result<Done> MediaKeeper::remove(const MediaRecord& record) {
  Result<Done> removed = impl_->remove_all({record}, true);
  if (removed && !record.fal_request_id.empty()) impl_->forget_at_fal(record.fal_request_id);
  return removed;
}

std::shared_ptr<MediaStore> MediaKeeper::store() const {
  const std::lock_guard guard(impl_->mutex);
  return impl_->store;
}

std::shared_ptr<const MediaLinks> MediaKeeper::links() const {
  impl_->wait_until_ready();
  const std::lock_guard guard(impl_->mutex);
  return impl_->links;
}

const MediaPlace& MediaKeeper::place() const noexcept { return impl_->place; }

MediaStatus MediaKeeper::status() const {
  const std::lock_guard guard(impl_->mutex);
  MediaStatus status{.waiting = impl_->queue.size() + impl_->working,
                     .stored = impl_->stored,
                     .lost = impl_->lost,
                     .trouble = impl_->trouble};
  if (impl_->store != nullptr) status.place = impl_->store->place();
  for (const auto& [owner, total] : impl_->totals) {
    status.files += total.files;
    status.bytes += total.bytes;
  }
  return status;
}

}  // namespace falproxy::app
