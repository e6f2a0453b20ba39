#include <algorithm>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "falproxy/plan.hpp"

namespace falproxy::inline v0::plan {
namespace {

// A sentence in the middle of another one.
std::string as_clause(std::string text) {
  while (text.ends_with('.')) text.pop_back();
  const bool is_word = text.size() > 1 && is_alpha(text[0]) && text[1] == to_lower(text[1]);
  if (is_word) text[0] = to_lower(text[0]);
  return text;
}

}  // namespace

std::vector<ResultFile> Selection::take(JobResult result) {
  std::vector<ResultFile> taken;
  for (std::size_t i = 0; i < result.images.size(); ++i) {
    const bool marked = i < result.nsfw.size() && result.nsfw[i];
    marked_ += marked ? 1 : 0;
    if (marked && nsfw_ == NsfwResults::leave_out) continue;
    if (shown_ == wanted_) {
      ++too_many_;
      continue;
    }
    ++shown_;
    taken.push_back(std::move(result.images[i]));
  }
  return taken;
}

Error Selection::nothing() const {
  if (marked_ == 0)
    return Error{ErrorKind::no_image, "The model finished, but its result holds no picture."};
  return Error{ErrorKind::content_policy,
               "Your request was rejected by the safety system: the model marked every picture "
               "as not safe for work."};
}

void Selection::tell(std::vector<Note>& notes, std::size_t came,
                     const std::vector<std::string>& reasons) const {
  if (marked_ > 0) {
    const bool left_out = nsfw_ == NsfwResults::leave_out;
    notes.push_back({"data", fmt::format("{} of the pictures marked as not safe for work{}",
                                         marked_, left_out ? ": left out" : ", and passed on")});
  }
  if (too_many_ > 0) {
    notes.push_back(
        {"n", fmt::format("{} pictures came, {} were asked for: the others were left out",
                          shown_ + too_many_, wanted_)});
  }
  if (came >= wanted_) return;
  std::string why;
  for (std::size_t i = 0; i < reasons.size(); ++i) {
    const auto here = reasons.begin() + static_cast<std::ptrdiff_t>(i);
    if (std::find(reasons.begin(), here, *here) != here) continue;  // told already
    why += (why.empty() ? ": " : "; ") + as_clause(*here);
  }
  notes.push_back({"n", fmt::format("{} of {} pictures came{}", came, wanted_, why)});
}

}  // namespace falproxy::inline v0::plan
