from analyzers.subjects.loading import LoadedModel, load_model
