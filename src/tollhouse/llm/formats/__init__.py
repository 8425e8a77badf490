"""Wire forms, one package each; none knows another. What stands between them is `tollhouse.llm.chat`."""
