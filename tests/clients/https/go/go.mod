module portcullis.example/https

go 1.21
