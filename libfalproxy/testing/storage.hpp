// storage.hpp: fal's storage upload and its CDN.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "answers.hpp"
#include "pictures.hpp"
#include "sounds.hpp"
#include "videos.hpp"
#include "visit.hpp"

namespace falproxy::inline v0::testing {

class Storage {
 public:
  Storage(Answers& answers, DeskStats& stats, const PictureEncoder& encoder,
          std::size_t picture_bytes)
      : answers_(answers), stats_(stats), pictures_(encoder, picture_bytes, max_picture_bytes) {}

  /// `upload_origin`: where the upload address points to.
  void initiate(const Visit& visit, const std::string& upload_origin);
  void upload(const Visit& visit);
  void media(const Visit& visit);
  /// What a job has made is not there any more.
  void forget(std::string job) { forgotten_.insert(std::move(job)); }
  /// A link that opens a file whoever may have it.
  void sign(const Visit& visit);

  /// The address of a picture; its file is made when it is fetched.
  [[nodiscard]] static std::string address(const std::string& origin, std::string_view job,
                                           std::size_t index, const Picture& picture);
  /// The same of a sound.
  [[nodiscard]] static std::string address(const std::string& origin, std::string_view job,
                                           const Sound& sound);
  /// And of a video.
  [[nodiscard]] static std::string address(const std::string& origin, std::string_view job,
                                           const Video& video);
  [[nodiscard]] std::string data_uri(const Picture& picture);
  [[nodiscard]] Body picture(const Picture& picture) { return pictures_.get(picture); }
  [[nodiscard]] bool makes(PictureFormat format) const { return pictures_.makes(format); }
  [[nodiscard]] const SeenUpload* find(std::string_view file_url) const;

 private:
  static constexpr std::size_t max_picture_bytes = 256u << 20;
  static constexpr std::size_t max_uploaded_bytes = 1u << 30;

  struct File {
    SeenUpload seen;
    bool complete = false;
  };
  /// The file, or the range of it that is asked for.
  void give(const Visit& visit, std::string_view type, Body file);

  Answers& answers_;
  DeskStats& stats_;
  PictureCache pictures_;
  std::map<std::string, std::shared_ptr<File>, std::less<>> files_;  // by path of the file
  std::deque<std::string> order_;  // paths, oldest first: those are forgotten first
  std::size_t uploaded_bytes_ = 0;
  std::uint64_t next_ = 1;
  std::set<std::string> forgotten_;  // jobs
};

}  // namespace falproxy::inline v0::testing
