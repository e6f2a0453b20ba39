// Files of a request that are kept here, and how fal opens them.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/pointer.hpp"
#include "handlers/handlers.hpp"
#include "handlers/wish_call.hpp"
#include "media_store/media_keeper.hpp"

namespace falproxy::app {
namespace {

// Calls `take` with each text in a value, and where it stands.
template <class F>
void for_each_text(const Json& value, const std::string& path, F&& take) {
  if (const auto text = value.as_string()) return take(*text, path);
  const auto step = [&](auto where, const Json& one) {
    std::string below = path;
    append_step(below, where);
    for_each_text(one, below, take);
  };
  std::size_t index = 0;
  for (const Json& one : value.elements()) step(index++, one);
  for (const auto& [name, one] : value.members()) step(name, one);
}

}  // namespace

std::string WishCall::where_kept() const {
  if (parts_.media == nullptr) return {};
  return public_origin(request_.head(), rules_->settings) + "/media/";
}

// The record tells who may have it: an address that somebody wrote into a request opens nothing.
void WishCall::open_kept(InputFile& file) const {
  if (kept_files_.empty() || !file.url.starts_with(kept_files_)) return;
  const std::string_view name = std::string_view(file.url).substr(kept_files_.size());
  const std::optional<RunId> id = id_in_file_name(name.substr(0, name.find_first_of("?#")));
  if (!id) return;
  const Result<std::optional<MediaRecord>> record = parts_.media->find(*id, record_.client);
  if (!record || !record->has_value() || (*record)->source.empty()) return;
  file.url = (*record)->source;
  file.is_own = true;
}

void WishCall::open_kept(Wish& wish) const {
  if (parts_.media == nullptr || !parts_.media->place().is_private()) return;
  for (InputFile& file : wish.images) open_kept(file);
  if (wish.mask) open_kept(*wish.mask);
  std::size_t left = rules_->limits.max_input_images;
  for (const auto& [name, value] : wish.native) {
    for_each_text(value, {}, [&, &field = name](std::string_view text, const std::string& path) {
      if (left == 0 || !text.starts_with(kept_files_)) return;
      --left;
      InputFile file{.url = std::string(text)};
      open_kept(file);
      if (file.is_own) wish.attached.push_back({field, path, std::move(file)});
    });
  }
}

}  // namespace falproxy::app
