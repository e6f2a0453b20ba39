#include "sound_converter.hpp"

#ifdef FALPROXY_WITH_SOUND

#include <samplerate.h>
#include <sndfile.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <optional>
#include <utility>

#include "falproxy/media.hpp"
#include "falproxy/wav.hpp"

namespace falproxy::app {
namespace {

// Frames that are read at once.
constexpr std::size_t block = 4096;
// What is handed out at once; and blocks that are read for it at most, since silence packs well.
constexpr std::size_t piece_bytes = 64u << 10;
constexpr int most_blocks = 16;
constexpr int pcm_rate = 24000;
// So much less than a file says that it has is no fault: codecs have a delay.
constexpr sf_count_t most_missing = block;

struct Kind {
  std::string_view name;
  int format;                // libsndfile's; 0: bare samples
  std::array<int, 9> rates;  // that it can have; the last one is for all others
};
constexpr std::array kinds = {
    Kind{"mp3",
         SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III,
         {8000, 11025, 12000, 16000, 22050, 24000, 32000, 48000, 44100}},
    Kind{"opus", SF_FORMAT_OGG | SF_FORMAT_OPUS, {8000, 12000, 16000, 24000, 48000}},
    Kind{"flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16, {}},
    Kind{"wav", 0, {}},
    Kind{"pcm", 0, {pcm_rate}},
};

const Kind* find_kind(std::string_view name) {
  const auto found = std::ranges::find(kinds, name, &Kind::name);
  return found == kinds.end() ? nullptr : &*found;
}

int rate_for(const Kind& kind, int rate) {
  if (kind.rates.front() == 0) return rate;
  int other = 0;
  for (const int one : kind.rates) {
    if (one == rate) return rate;
    if (one != 0) other = one;
  }
  return other;
}

Error unreadable() {
  return {.kind = ErrorKind::upstream_failed, .message = "The sound that came cannot be read."};
}

Error broken() {
  return {.kind = ErrorKind::upstream_failed,
          .message = "The sound that came is broken, and cannot be read to its end."};
}

// An mp3 whose first frame has no table that says how long it is (Xing, Info, VBRI).
bool is_mp3_without_length(std::string_view bytes) {
  if (media::sniff_sound(bytes) != media::SoundType::mp3) return false;
  if (bytes.starts_with("ID3") && bytes.size() > 10) {
    std::size_t tag = 10;
    for (std::size_t i = 0; i < 4; ++i)
      tag += (static_cast<std::size_t>(bytes[6 + i]) & 0x7F) << (21 - 7 * i);
    bytes.remove_prefix(std::min(tag, bytes.size()));
  }
  const std::string_view begin = bytes.substr(0, 256);
  return std::ranges::none_of(std::array{"Xing", "Info", "VBRI"}, [&](const char* word) {
    return begin.find(word) != std::string_view::npos;
  });
}

// A tag (ID3v1) behind the last frame of a FLAC would look like a frame that is broken.
std::string without_tag(std::string file, std::size_t tag_size) {
  if (file.size() > tag_size && media::sniff_sound(file) == media::SoundType::flac &&
      std::string_view(file).substr(file.size() - tag_size).starts_with("TAG"))
    file.resize(file.size() - tag_size);
  return file;
}

// A file in memory that libsndfile reads. If an mp3 does not say how long it is, libsndfile works
// that out from its first frame and its size, and reads no further: it is told a size that is
// always enough, and sees the end when it comes.
struct Source {
  explicit Source(std::string file)
      : bytes(without_tag(std::move(file), tag_size)),
        told_size(static_cast<sf_count_t>(bytes.size()) *
                  (is_mp3_without_length(bytes) ? most_rates : 1)) {}
  // The highest bit rate of an mp3 to the lowest.
  static constexpr sf_count_t most_rates = 40;
  // Of a tag that may stand at the end, and is looked for there.
  static constexpr sf_count_t tag_size = 128;
  std::string bytes;
  sf_count_t told_size;
  sf_count_t at = 0;
};

// What libsndfile writes; what was handed out cannot be changed any more.
struct Target {
  std::string bytes;
  sf_count_t handed_out = 0;
  sf_count_t at = 0;
  [[nodiscard]] sf_count_t size() const {
    return handed_out + static_cast<sf_count_t>(bytes.size());
  }
};

template <class File>
sf_count_t seek(File& file, sf_count_t size, sf_count_t offset, int whence) {
  const sf_count_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? file.at : size;
  if (from + offset < 0) return -1;
  file.at = std::min(from + offset, size);
  return file.at;
}

SF_VIRTUAL_IO reading() {
  return {
      .get_filelen = [](void* to) -> sf_count_t {
        return static_cast<sf_count_t>(static_cast<Source*>(to)->bytes.size());
      },
      .seek = [](sf_count_t offset, int whence, void* to) -> sf_count_t {
        Source& source = *static_cast<Source*>(to);
        return seek(source, source.told_size, offset, whence);
      },
      .read = [](void* into, sf_count_t count, void* to) -> sf_count_t {
        Source& source = *static_cast<Source*>(to);
        const auto size = static_cast<sf_count_t>(source.bytes.size());
        if (source.at > size && source.at + count == source.told_size &&
            count == Source::tag_size) {
          std::memset(into, 0, static_cast<std::size_t>(count));
          source.at += count;
          return count;
        }
        const sf_count_t got = std::clamp<sf_count_t>(size - source.at, 0, count);
        if (got > 0)
          std::memcpy(into, source.bytes.data() + source.at, static_cast<std::size_t>(got));
        source.at += got;
        return got;
      },
      .write = [](const void*, sf_count_t, void*) -> sf_count_t { return 0; },
      .tell = [](void* to) -> sf_count_t { return static_cast<Source*>(to)->at; },
  };
}

SF_VIRTUAL_IO writing() {
  return {
      .get_filelen = [](void* to) -> sf_count_t { return static_cast<Target*>(to)->size(); },
      .seek = [](sf_count_t offset, int whence, void* to) -> sf_count_t {
        Target& target = *static_cast<Target*>(to);
        return seek(target, target.size(), offset, whence);
      },
      .read = [](void*, sf_count_t, void*) -> sf_count_t { return 0; },
      .write = [](const void* from, sf_count_t count, void* to) -> sf_count_t {
        Target& target = *static_cast<Target*>(to);
        std::string_view bytes(static_cast<const char*>(from), static_cast<std::size_t>(count));
        const sf_count_t late = std::clamp<sf_count_t>(target.handed_out - target.at, 0, count);
        bytes.remove_prefix(static_cast<std::size_t>(late));
        const auto place =
            static_cast<std::size_t>(std::max(target.at, target.handed_out) - target.handed_out);
        const std::size_t over = std::min(bytes.size(), target.bytes.size() - place);
        target.bytes.replace(place, over, bytes);
        target.at += count;
        return count;
      },
      .tell = [](void* to) -> sf_count_t { return static_cast<Target*>(to)->at; },
  };
}

struct CloseFile {
  void operator()(SNDFILE* file) const noexcept { sf_close(file); }
};
struct CloseRate {
  void operator()(SRC_STATE* rate) const noexcept { src_delete(rate); }
};

class Converter final : public SoundConverter {
 public:
  Converter(std::string sound, const Kind& kind) : kind_(kind), source_(std::move(sound)) {}
  Converter(const Converter&) = delete;
  Converter& operator=(const Converter&) = delete;

  bool begin() {
    SF_VIRTUAL_IO io = reading();
    in_.reset(sf_open_virtual(&io, SFM_READ, &from_, &source_));
    if (in_ == nullptr || from_.channels < 1 || from_.samplerate < 1000) return false;
    to_.channels = kind_.name == "pcm" || from_.channels > 2 ? 1 : from_.channels;
    to_.samplerate = rate_for(kind_, from_.samplerate);
    to_.format = kind_.format;
    if (to_.samplerate != from_.samplerate) {
      int fault = 0;
      rate_.reset(src_new(SRC_SINC_MEDIUM_QUALITY, to_.channels, &fault));
      if (rate_ == nullptr) return false;
    }
    if (kind_.name == "wav") {
      target_.bytes = media::head_for_pcm(static_cast<std::uint32_t>(to_.samplerate),
                                          static_cast<std::uint16_t>(to_.channels));
    }
    return kind_.format == 0 || begin_to_write();
  }

  Result<std::string> next() override {
    for (int i = 0; !over_ && target_.bytes.size() < piece_bytes; ++i) {
      if (i >= most_blocks && !target_.bytes.empty()) break;
      if (!convert_block()) return unreadable();
      if (is_broken()) return broken();
    }
    target_.handed_out = target_.size();
    return std::exchange(target_.bytes, {});
  }

 private:
  bool begin_to_write() {
    SF_VIRTUAL_IO io = writing();
    out_.reset(sf_open_virtual(&io, SFM_WRITE, &to_, &target_));
    if (out_ == nullptr) return false;
    // What does not say how long it is must be as long as its size says.
    int constant = SF_BITRATE_MODE_CONSTANT;
    if (kind_.name == "mp3")
      sf_command(out_.get(), SFC_SET_BITRATE_MODE, &constant, sizeof constant);
    return true;
  }

  // False: it cannot be written.
  bool convert_block() {
    frames_.resize(block * static_cast<std::size_t>(from_.channels));
    const sf_count_t got = sf_readf_float(in_.get(), frames_.data(), block);
    over_ = got <= 0;
    read_ += std::max<sf_count_t>(got, 0);
    has_fault_ = has_fault_ || sf_error(in_.get()) != SF_ERR_NO_ERROR;
    frames_.resize(static_cast<std::size_t>(std::max<sf_count_t>(got, 0)) *
                   static_cast<std::size_t>(from_.channels));
    for (float& sample : frames_) {
      if (!std::isfinite(sample)) sample = 0;
    }
    if (to_.channels != from_.channels) mix();
    const bool well = rate_ == nullptr ? put(frames_) : change_rate();
    if (!over_ || out_ == nullptr) return well;
    return sf_close(out_.release()) == 0 && well;  // which writes what is left
  }

  // Whether less was read than there should be. What is strange behind the last sound is no matter.
  [[nodiscard]] bool is_broken() const {
    if (!knows_length()) return has_fault_;
    return (over_ || has_fault_) && read_ + most_missing < from_.frames;
  }
  [[nodiscard]] bool knows_length() const {
    return from_.frames > 0 && from_.frames < SF_COUNT_MAX &&
           source_.told_size == static_cast<sf_count_t>(source_.bytes.size());
  }

  void mix() {
    const auto channels = static_cast<std::size_t>(from_.channels);
    for (std::size_t i = 0; i < frames_.size() / channels; ++i) {
      float sum = 0;
      for (std::size_t c = 0; c < channels; ++c) sum += frames_[i * channels + c];
      frames_[i] = sum / static_cast<float>(channels);
    }
    frames_.resize(frames_.size() / channels);
  }

  bool change_rate() {
    const auto channels = static_cast<std::size_t>(to_.channels);
    const double ratio = static_cast<double>(to_.samplerate) / from_.samplerate;
    std::vector<float> made((static_cast<std::size_t>(static_cast<double>(block) * ratio) + block) *
                            channels);
    SRC_DATA work{};
    work.data_in = frames_.data();
    work.input_frames = static_cast<long>(frames_.size() / channels);
    work.src_ratio = ratio;
    work.end_of_input = over_ ? 1 : 0;
    while (true) {
      work.data_out = made.data();
      work.output_frames = static_cast<long>(made.size() / channels);
      if (src_process(rate_.get(), &work) != 0) return false;
      const auto count = static_cast<std::size_t>(work.output_frames_gen) * channels;
      if (!put(std::vector<float>(made.begin(), made.begin() + static_cast<std::ptrdiff_t>(count))))
        return false;
      work.data_in += static_cast<std::size_t>(work.input_frames_used) * channels;
      work.input_frames -= work.input_frames_used;
      if (work.output_frames_gen == 0) return true;
    }
  }

  bool put(const std::vector<float>& frames) {
    if (out_ != nullptr) {
      const auto count = static_cast<sf_count_t>(frames.size()) / to_.channels;
      return count == 0 || sf_writef_float(out_.get(), frames.data(), count) == count;
    }
    for (const float sample : frames) {
      const auto level =
          static_cast<std::uint16_t>(std::lround(std::clamp(sample, -1.0F, 1.0F) * 32767));
      target_.bytes += static_cast<char>(level & 0xFF);
      target_.bytes += static_cast<char>(level >> 8);
    }
    return true;
  }

  const Kind& kind_;
  Source source_;
  Target target_;
  SF_INFO from_{};
  SF_INFO to_{};
  std::unique_ptr<SNDFILE, CloseFile> in_;
  std::unique_ptr<SNDFILE, CloseFile> out_;  // null: bare samples, or all is written
  std::unique_ptr<SRC_STATE, CloseRate> rate_;
  std::vector<float> frames_;
  sf_count_t read_ = 0;  // frames
  bool over_ = false;
  bool has_fault_ = false;
};

}  // namespace

const std::vector<std::string>& SoundConverter::made() {
  static const std::vector<std::string> all = [] {
    std::vector<std::string> names;
    for (const Kind& kind : kinds) {
      SF_INFO info{};
      info.samplerate = pcm_rate;
      info.channels = 1;
      info.format = kind.format;
      if (kind.format == 0 || sf_format_check(&info) != 0) names.emplace_back(kind.name);
    }
    return names;
  }();
  return all;
}

Result<std::unique_ptr<SoundConverter>> SoundConverter::create(std::string sound,
                                                               std::string_view to) {
  const Kind* const kind = find_kind(to);
  if (kind == nullptr) return unreadable();
  auto converter = std::make_unique<Converter>(std::move(sound), *kind);
  if (!converter->begin()) return unreadable();
  return std::unique_ptr<SoundConverter>(std::move(converter));
}

}  // namespace falproxy::app

#else

namespace falproxy::app {

const std::vector<std::string>& SoundConverter::made() {
  static const std::vector<std::string> none;
  return none;
}

Result<std::unique_ptr<SoundConverter>> SoundConverter::create(std::string, std::string_view) {
  return Error{.kind = ErrorKind::internal, .message = "This falproxy converts no sounds."};
}

}  // namespace falproxy::app

#endif
